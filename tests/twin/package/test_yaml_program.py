"""The program of `docs/package.md`, in YAML, to the letter: Pulumi's YAML host and the components as a plugin, on the twin."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotlight import toolchain
from pilotlight.cli.addresses import reachable
from pilotlight.twin import client as twin_client
from tests.conformance.pipeline import AwsPipeline
from tests.support.deployment import PATIENCE_S, ROOT, Deployment, copy_checkout, post
from tests.support.size import only_all
from tests.support.vectors import TEXTS, assert_embeds

PAGE = (ROOT / "docs/package.md").read_text()
PROGRAM, CONFIG = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PACKAGE = re.search(r"\.venv/bin/pilotlight (package .*)\)", PAGE)
NAME = "english"

pytestmark = only_all


@dataclass(frozen=True, kw_only=True)
class Service:
    """A project of somebody else's beside a checkout, and the twin that the checkout's command started for it."""

    folder: Path
    deployment: Deployment
    variables: dict[str, str]

    def pulumi(self, *arguments: str, code: int = 0) -> str:
        """A plain `pulumi` command in the project's folder; what it said."""
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
        environment = self.deployment.environment | self.variables
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json", "--show-secrets", "--stack", "dev"))
        return found

    def write(self, program: dict[str, Any]) -> None:
        (self.folder / "Pulumi.yaml").write_text(yaml.safe_dump(program, sort_keys=False))


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A checkout with what `docs/package.md` packages there, and a twin."""
    host = toolchain.ensure_yaml(lambda text: print(text, file=sys.stderr))
    folder = tmp_path_factory.mktemp("package")
    path = os.pathsep.join([str(Path(sys.prefix) / "bin"), str(host.parent), os.environ["PATH"]])
    made = Deployment(checkout=copy_checkout(folder / "pilotlight"), home=folder / "home", extra={"PATH": path})
    assert PACKAGE is not None
    made.run(*PACKAGE[1].split())
    yield made
    made.down()
    assert made.processes() == []


@pytest.fixture(scope="module")
def service(deployment: Deployment) -> Service:
    return beside(deployment, "my-service", PROGRAM, CONFIG)


def beside(deployment: Deployment, name: str, program: str, config: str) -> Service:
    """A project beside the checkout, with a stack `dev` that is not up."""
    folder = deployment.checkout.parent / name
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(program)
    (folder / "Pulumi.dev.yaml").write_text(config)
    variables = json.loads(deployment.run("env", "--local", "--json", "--cwd", str(folder)).stdout)
    made = Service(folder=folder, deployment=deployment, variables=variables)
    made.pulumi("stack", "init", "dev")
    return made


def test_wrong_inputs_are_told_all_at_once_before_anything_is_made(service: Service) -> None:
    program = yaml.safe_load(PROGRAM)
    wrong = program["resources"]["api"]["properties"]
    wrong["endpoint"]["memoryMb"], wrong["auth"]["mode"], wrong["dataRetention"] = 1, "none", "forever"
    service.write(program)
    said = service.pulumi("preview", "--stack", "dev", code=1)
    service.write(yaml.safe_load(PROGRAM))
    assert "the settings have 3 problems" in said
    for told in (
        "property endpoint.memoryMb with value 1 has a problem",
        "property auth.mode",
        "property dataRetention",
        "use keep or delete",
    ):
        assert told in said
    assert "Traceback" not in said


def test_an_unpackaged_model_is_told_with_the_command(service: Service) -> None:
    program = yaml.safe_load(PROGRAM)
    program["resources"]["api"]["properties"]["model"]["source"] = "pypi:nobody-packaged-this"
    service.write(program)
    said = service.pulumi("preview", "--stack", "dev", code=1)
    service.write(yaml.safe_load(PROGRAM))
    assert "run `pilotlight package pypi:nobody-packaged-this --task sentence-embedding --engine onnx`" in said
    assert "Traceback" not in said
    assert "Unexpected" not in said


def test_the_program_previews_comes_up_answers_and_goes(service: Service) -> None:
    (service.folder / "Pulumi.yaml").write_text(PROGRAM)
    previewed = service.pulumi("preview", "--stack", "dev")
    assert "pilotlight:index:InferenceApi api create" in re.sub(r" +", " ", previewed)
    service.pulumi("up", "--yes", "--skip-preview", "--stack", "dev")
    outputs = service.outputs()
    outputs["url"] = reachable(outputs["url"], twin_client.ensure_running(service.deployment.home).front_url)
    answer = post(outputs, {"inputs": TEXTS[NAME]["text"]})
    assert answer.status_code == 200, answer.text
    assert_embeds(NAME, answer.json()["outputs"])
    pipeline = AwsPipeline(service.deployment, outputs)
    row = pipeline.row(pipeline.put("a.txt", TEXTS[NAME]["text"].encode()))
    assert row is not None
    assert_embeds(NAME, pipeline.answer(row))
    again = service.pulumi("preview", "--stack", "dev")
    assert re.search(r"^ +\d+ unchanged$", again, re.MULTILINE)
    assert re.search(r"to (create|update|replace|delete)", again) is None
    service.pulumi("destroy", "--yes", "--skip-preview", "--stack", "dev")
    assert [*json.loads(service.pulumi("stack", "export", "--stack", "dev"))["deployment"].get("resources", [])] == []


def test_the_other_clouds_preview_as_well_both_in_one_program(deployment: Deployment) -> None:
    program = yaml.safe_load(PROGRAM)
    api, pipeline = (program["resources"][name]["properties"] for name in ("api", "pipeline"))
    api |= {"cloud": "gcp", "endpoint": {"platform": "gcp-cloud-run"}, "auth": {"mode": "api-key"}}
    pipeline |= {"cloud": "azure", "endpoint": {"platform": "azure-container-apps"}}
    config = {"gcp:project": "my-project", "gcp:region": "europe-west1", "azure-native:location": "westeurope"}
    config["azure-native:subscriptionId"] = "00000000-0000-0000-0000-000000000001"
    program["name"] = "two-clouds"
    made = beside(deployment, program["name"], yaml.safe_dump(program), yaml.safe_dump({"config": config}))
    said = re.sub(r" +", " ", made.pulumi("preview", "--stack", "dev"))
    for part in ("gcp:cloudrunv2:Service api-endpoint-", "azure-native:app:ContainerApp pipeline-"):
        assert part in said
