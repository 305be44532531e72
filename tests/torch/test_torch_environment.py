"""The one test that is collected everywhere: it says why the others are not."""

import os

import pytest


def test_these_tests_run_in_their_own_environment():
    if "PILOTLIGHT_TORCH_MODELS" not in os.environ:
        pytest.skip("needs torch and transformers (5 GB): run `make test-torch`, which installs them beside, not into, .venv")
    import torch
    import transformers

    assert int(torch.__version__.split(".")[0]) >= 2
    assert int(transformers.__version__.split(".")[0]) >= 5
