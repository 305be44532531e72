"""Outside of their own environment these tests are skipped, and say how to run them."""

import os
from importlib.util import find_spec

from tests.security.plans import PLANS_VARIABLE

_READY = all(find_spec(name) for name in ("parliament", "cloudsplaining", "policy_sentry")) and PLANS_VARIABLE in os.environ
# Those modules import the tools: here they can't even be collected.
collect_ignore = [] if _READY else ["test_policies.py", "test_checkov.py", "test_google.py", "test_azure.py", "test_azure_anchors.py"]
if _READY:
    # Programs, not modules: they are tried in the tool's own environment, which has what finds them.
    collect_ignore.append("test_linters.py")
