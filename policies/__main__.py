"""The policy pack: `pulumi preview --policy-pack policies`."""

import sys

try:
    import pulumi_policy  # noqa: F401 (asked only whether it is there)
except ModuleNotFoundError as error:
    if error.name != "pulumi_policy":
        raise
    raise RuntimeError(
        f"The policy pack needs pulumi-policy, which {sys.executable} does not have: run `pulumi install` in the pack's folder, or "
        "`pip install --require-hashes -r requirements.txt` with the Python of its .venv. Nothing was judged."
    ) from None

from rules import RULES
from rules.server import serve

serve(RULES)
