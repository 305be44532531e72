"""The README of the example that reads documents, run to the letter on a twin, which makes the environment of its lock (450 MB)."""

import re

from tests.support.deployment import ROOT, Deployment
from tests.support.size import only_all
from tests.twin.system.test_readme import answer_in, run

BLOCKS = re.findall(r"^```bash\n(.*?)^```", (ROOT / "examples/documents/README.md").read_text(), re.MULTILINE | re.DOTALL)


@only_all
def test_the_example_is_deployed_and_reads_the_page(deployment: Deployment) -> None:
    (deploy,) = BLOCKS
    lines = answer_in(run(deployment, deploy, twin=False))["outputs"]["lines"]
    assert [line["text"].replace(" ", "") for line in lines] == ["Invoice2026-1107", "Twoboxesofpencils", "Total:118.40EUR"]
