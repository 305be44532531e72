"""The one test that is collected everywhere: it says why the others are not."""

import os

import pytest

from tests.security.plans import PLANS_VARIABLE, names


def test_these_tests_run_in_their_own_environment():
    if PLANS_VARIABLE not in os.environ:
        pytest.skip("needs checkov, cloudsplaining, parliament and policy-sentry: run `make test-security`")
    assert len(names()) > 10
