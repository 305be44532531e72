"""The README's commands, run to the letter: plain `pulumi`, the real engine, a language host; the twin stands where AWS would."""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.deployment import COMMAND, ROOT, Deployment, cloned
from tests.support.size import only_all
from tests.support.system import deployed
from tests.support.vectors import TEXTS

# From `init` to the answer, which the README says; what sets up before is not in it.
PROMISED_S = 120
SHELL = "source .venv/bin/activate\n"
EDITOR = r"sed -i s/\(memoryMb..\)2048/\13072/"
BLOCKS = re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """On a clone, which has nothing that is not committed or about to be."""
    yield from deployed(tmp_path_factory.mktemp("readme"), cloned)


def run(deployment: Deployment, block: str, *, twin: bool) -> str:
    """Run a block in bash, stopping at its first error. `twin`: under `pilotlight env --local`, and nobody is there to say yes; nor to
    edit a file, which EDITOR does."""
    before = f'eval "$({COMMAND} env --local)"\n' if twin else ""
    inherited = {name: value for name, value in deployment.environment.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", before + block],
        cwd=deployment.checkout,
        env=inherited | {"PULUMI_SKIP_CONFIRMATIONS": "true", "EDITOR": EDITOR},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, f"{block}\n{result.stdout[-6000:]}\n{result.stderr[-6000:]}"
    return result.stdout


def answer_in(printed: str) -> dict[str, Any]:
    """The answer of `pilotlight invoke`, whose body is printed as it came: with no line's end, other commands print behind it."""
    found, _ = json.JSONDecoder().raw_decode(printed[printed.index('{"outputs"') :])
    return dict(found)


@only_all
@pytest.mark.skipif(shutil.which("curl") is None, reason="the README calls the API with curl, which is not installed here")
def test_the_first_blocks_deploy_and_call_the_stack_with_plain_pulumi(deployment: Deployment) -> None:
    deploy, call = BLOCKS[:2]
    assert "pulumi up" in deploy
    assert "curl" in call
    printed = run(deployment, deploy + call, twin=True)
    answer = json.loads(printed[printed.index('{"outputs"') :])
    assert len(answer["outputs"][0][0]) == len(TEXTS["english"]["sentence"])
    run(deployment, "source .venv/bin/activate\npulumi destroy\npulumi stack rm", twin=True)


@only_all
@pytest.mark.parametrize(("cloud", "stack"), [("gcp", "gcp-cloud-run-api"), ("azure", "azure-container-apps-api")])
def test_the_block_for_another_cloud_deploys_its_stack_with_plain_pulumi(deployment: Deployment, cloud: str, stack: str) -> None:
    """Its gateway answers under a name of the cloud's, which only the command leads to the twin."""
    (deploy,) = (block for block in BLOCKS if "pulumi up" in block and f"CLOUD={cloud}" in block)
    assert f"pulumi stack init {stack}\n" in deploy
    call = f"pilotlight invoke {stack} --local --json " + shlex.quote(json.dumps({"inputs": TEXTS["english"]["text"]}))
    printed = run(deployment, f"{deploy}{call}\n", twin=True)
    answer = json.loads(printed[printed.index('{"outputs"') :])
    assert len(answer["outputs"][0][0]) == len(TEXTS["english"]["sentence"])
    run(deployment, "source .venv/bin/activate\npulumi destroy\npulumi stack rm", twin=True)


@only_all
def test_the_blocks_for_the_twin_work_by_hand(deployment: Deployment) -> None:
    by_hand, events = (block for block in BLOCKS if "pilotlight up" in block and "pilotlight init" not in block)
    printed = run(deployment, by_hand, twin=False)
    assert '"outputs"' in printed
    assert '"deployment"' in printed
    assert '"outputs"' in run(deployment, events, twin=False)
    assert os.environ.get("PULUMI_DEBUG_PROVIDERS") is None


def test_a_stack_of_ones_own_answers_within_two_minutes_of_its_init_in_a_fork_under_its_own_name(
    deployment: Deployment,
) -> None:
    (block,) = (block for block in BLOCKS if "pilotlight init" in block)
    lines = block.splitlines(keepends=True)
    began, ended = (next(n for n, line in enumerate(lines) if line.startswith(f"pilotlight {verb} ")) for verb in ("init", "destroy"))
    assert lines[:began] == ["make setup\n", SHELL]
    deployment.edit("Pulumi.yaml", "^name: pilotlight$", "name: my-models")
    try:
        seconds = {}
        printed = ""
        for part, script in (("set-up", lines[:began]), ("init to answer", [SHELL, *lines[began:ended]]), ("end", [SHELL, *lines[ended:]])):
            started = time.monotonic()
            printed += run(deployment, "".join(script), twin=False)
            seconds[part] = round(time.monotonic() - started, 1)
    finally:
        deployment.edit("Pulumi.yaml", "^name: my-models$", "name: pilotlight")
    answer = answer_in(printed)
    assert len(answer["outputs"][0][0]) == len(TEXTS["english"]["sentence"])
    assert "my-models-my-api" in printed
    assert "memoryMb: 3072" in (deployment.checkout / "stacks/Pulumi.my-api.yaml").read_text()
    assert seconds["init to answer"] < PROMISED_S, seconds
