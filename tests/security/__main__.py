"""Runs the tests that judge policies, planned resources, workflows and the Dockerfile, with tools in environments of their own.

python -m tests.security            # everything
python -m tests.security --record   # write tests/security/grants.txt again, from what the stacks grant
python -m tests.security --linters  # nothing but the linters' environment, in which `pilotlight check` finds them
"""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from filelock import FileLock

from docs.generate.options import judged
from pilotlight.ci.linters import TOOLS
from pilotlight.planned import planned, ready_stacks
from pilotlight.toolchain import cache_folder
from pilotlight.twin.iam_managed import managed_policy
from policies.rules import RULES
from policies.tests.breaks import BREAKS
from policies.tests.harness_breaks import good
from tests.security.arm import template
from tests.security.linters import build_actionlint

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
PLANS_VARIABLE, CHECKOV_VARIABLE = "PILOTLIGHT_SECURITY_PLANS", "PILOTLIGHT_SECURITY_CHECKOV"


def environment(name: str, lock: Path) -> Path:
    """The `bin` folder of an environment; made on first need, again when its lock changes."""
    folder = cache_folder() / "envs" / name
    marker = folder / ".lock-hash"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not marker.is_file() or marker.read_text() != wanted:
            print(f"Installing {lock.relative_to(ROOT)} into {folder}, once; seconds to a minute.", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            uv = [sys.executable, "-m", "uv"]
            subprocess.run([*uv, "venv", "--quiet", "--python", "3.11", str(folder)], check=True)
            subprocess.run([*uv, "pip", "install", "--quiet", "-p", str(folder), "--require-hashes", "-r", str(lock)], check=True)
            marker.write_text(wanted)
    return folder / "bin"


def plan(folder: Path) -> None:
    """Write `<folder>/<stack>+<variant>.json` for every variant, with the text of each managed policy that a role has, and what a
    template of Azure's would have in a resource's place."""
    every = {(stack, words): changes for stack in ready_stacks() for words, changes in judged(stack).items()}
    for (stack, words), changes in every.items():
        name = f"{stack}+{words.replace(' ', '-')}".removesuffix("+")
        made = planned(stack, changes)
        resources = [dataclasses.asdict(each) for each in made]
        for each, one in zip(resources, made, strict=True):
            each["template"] = template(one)
            each["taken_from"] = {key: sorted(urns) for key, urns in each["taken_from"].items()}
            each["waits_for"] = sorted(each["waits_for"])
            if each["type"] == "aws:iam/rolePolicyAttachment:RolePolicyAttachment":
                each["outputs"]["document"] = managed_policy(each["inputs"]["policyArn"])
        (folder / f"{name}.json").write_text(json.dumps({"stack": stack, "resources": resources}))


def plan_breaks(folder: Path) -> None:
    """Write what each break of the policy pack's tests changes, before and after, with the ids of public checks that its rule answers."""
    answers = {rule.id: [each for each in rule.answers if each.startswith("CKV_")] for rule in RULES}
    cases = []
    for number, case in enumerate(BREAKS):
        if not answers[case.rule] or case.gone or case.added:
            continue
        unchanged = good(case.graph)
        for before, after in zip(unchanged, case.broken(), strict=True):
            if before != after:
                pair = [
                    {**each, "taken_from": {}, "delete_first": False, "template": template(SimpleNamespace(**each))}
                    for each in (before, after)
                ]
                cases.append({"name": f"{number}", "case": str(case), "rule": case.rule, "answers": answers[case.rule], "pair": pair})
    folder.mkdir()
    (folder / "cases.json").write_text(json.dumps(cases))


def main() -> int:
    if sys.argv[1:] == ["--linters"]:
        linters()
        return 0
    bin_folder = environment("security", HERE / "requirements.txt")
    checkov = environment("checkov", HERE / "checkov_requirements.txt") / "checkov"
    with tempfile.TemporaryDirectory(prefix="pilotlight-security-") as temporary:
        print("Planning every ready stack under several settings", flush=True)
        plan(Path(temporary))
        plan_breaks(Path(temporary) / "breaks")
        variables = os.environ | {PLANS_VARIABLE: temporary, CHECKOV_VARIABLE: str(checkov)}
        if sys.argv[1:] == ["--record"]:
            return subprocess.run([bin_folder / "python", "-m", "tests.security.grants"], cwd=ROOT, env=variables).returncode
        command = [bin_folder / "python", "-m", "pytest", "tests/security", "-p", "no:cacheprovider", *sys.argv[1:]]
        status = subprocess.run(command, cwd=ROOT, env=variables).returncode
    return lint() or status


def lint() -> int:
    """The linters are programs: their tests run in the tool's own environment, which knows where they are."""
    linters()
    command = [sys.executable, "-m", "pytest", "tests/security/test_linters.py", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=ROOT).returncode


def linters() -> None:
    build_actionlint(environment(TOOLS, HERE / "workflow_requirements.txt"))


if __name__ == "__main__":
    raise SystemExit(main())
