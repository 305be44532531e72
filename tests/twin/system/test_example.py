"""The example's README, run to the letter on a twin; its first block, which needs torch, is `tests/packaging/test_example_export.py`'s."""

import re

from tests.support.deployment import ROOT, Deployment
from tests.support.size import only_all
from tests.twin.system.test_readme import answer_in, run

BLOCKS = re.findall(r"^```bash\n(.*?)^```", (ROOT / "examples/waveform/README.md").read_text(), re.MULTILINE | re.DOTALL)


@only_all
def test_the_example_is_deployed_and_answers(deployment: Deployment) -> None:
    export, deploy = BLOCKS
    assert "examples.waveform.export" in export
    printed = run(deployment, deploy, twin=False)
    assert answer_in(printed)["outputs"]["shape"] == "square"
