"""`make lock`: compile every requirements list into its hashed lock, without recording any download address."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON_VERSION = "3.11"
# In this order: a later list is constrained by the earlier locks (`-c` lines), so that all of them can be installed together.
TOOL_LISTS = ("locks/aws.in", "locks/gcp.in", "locks/azure.in", "locks/tool.in", "locks/dev.in")
# Each is an environment of its own, for Linux on both processors.
IMAGE_LISTS = "containers/requirements/*.in"
# The image of a model of one's own, whose packages are the image's: constrained by its lock, so they come after it.
EXAMPLE_LISTS = "examples/*/requirements.in"
# What our servers and loaders are compared with.
PEER_LISTS = "benchmarks/peers/locks/*.in"
OTHER_LISTS = (
    "policies/requirements.in",
    "pilotlight/twin/aws/lambda_runtime_requirements.in",
    "pilotlight/twin/azure/azurite_host/node_requirements.in",
    "pilotlight/packaging/export_requirements.in",
    "tests/security/checkov_requirements.in",
    "tests/security/requirements.in",
    "tests/security/workflow_requirements.in",
    "tests/torch/requirements.in",
)
# What the twin's Node program needs, of which npm makes the lock.
MODULES = "pilotlight/twin/azure/azurite_host"


def compile_list(path: Path) -> None:
    """Write `<name>.txt` beside `<name>.in`, without what `<name>.excludes` names, if there is one: a package that others ask for and that
    another one of the list stands in for. Raises CalledProcessError with uv's message shown when it can't be solved."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON_VERSION]
    command += ["--generate-hashes", "--no-header", "--no-emit-index-url", path.name, "-o", path.with_suffix(".txt").name]
    excluded = path.with_suffix(".excludes")
    if excluded.is_file():
        command += ["--excludes", excluded.name]
    subprocess.run(command, check=True, cwd=path.parent)


def compile_modules(folder: Path) -> None:
    """Write `package-lock.json` beside `package.json`, without what npm installs nothing by. Raises CalledProcessError."""
    command = ["npm", "install", "--package-lock-only", "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, check=True, cwd=folder)
    lock = folder / "package-lock.json"
    content = json.loads(lock.read_text(encoding="utf-8"))
    for package in content["packages"].values():
        for name in ("funding", "license", "deprecated"):
            package.pop(name, None)
    lock.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    lists = [ROOT / name for name in (*TOOL_LISTS, *OTHER_LISTS) if (ROOT / name).is_file()]
    for path in [*lists, *(path for names in (IMAGE_LISTS, EXAMPLE_LISTS, PEER_LISTS) for path in sorted(ROOT.glob(names)))]:
        print(path.relative_to(ROOT), flush=True)  # noqa: T201 (progress: each takes a while)
        compile_list(path)
    print(f"{MODULES}/package-lock.json", flush=True)  # noqa: T201 (as above)
    compile_modules(ROOT / MODULES)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
