"""Requirements of the images: what is imported is locked, and what is locked is imported."""

import ast
import re
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = ROOT / "containers/requirements"
# The torch engine is imported only where a manifest asks for it, and the cpu target does not serve those; chats of a model that writes
# are laid out with jinja2.
TORCH_ONLY = {"torch", "transformers", "safetensors", "jinja2"}
LAMBDA_RUNTIME = {"boto3", "botocore"}
# Imported only by functions that run from the zip; the image runs none of them.
ZIP_ONLY = {"aws_lambda_powertools"}


# Whose functions have an image of their own.
CLOUDS = ("azure", "gcp")


def imported(*files: Path) -> set[str]:
    """Names of the packages of every import, wherever in a file it stands."""
    found: set[str] = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {package_of(alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(package_of(node.module))
    return found - set(sys.stdlib_module_names) - {"handlers"}


def package_of(module: str) -> str:
    """The top-level name; of Google's, which share theirs, as much as one distribution has."""
    parts = module.split(".")
    return ".".join(parts[: 3 if parts[1:2] == ["cloud"] else 2]) if parts[0] == "google" else parts[0]


HANDLERS = [path for path in (ROOT / "handlers").rglob("*.py") if path.parent.name not in CLOUDS]
FUNCTIONS = [path for path in (ROOT / "handlers/functions").rglob("*.py") if path.parent.name not in CLOUDS]


def of_cloud(cloud: str) -> list[Path]:
    return list((ROOT / "handlers/functions" / cloud).glob("*.py"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(modules: set[str]) -> set[str]:
    installed = packages_distributions()
    # Google's are called like their packages, without the version of the API.
    return {normal(re.sub(r"_v\d+$", "", name)) for module in modules for name in installed.get(module, [module])}


def names(path: Path) -> set[str]:
    return {normal(name) for name in re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", path.read_text(), re.MULTILINE)}


def test_the_image_carries_every_package_that_the_handlers_import() -> None:
    needed = distributions(imported(*HANDLERS) - TORCH_ONLY - ZIP_ONLY)
    assert needed
    assert needed - names(REQUIREMENTS / "cpu.txt") == set()


def test_the_image_asks_for_no_package_that_nothing_imports() -> None:
    assert names(REQUIREMENTS / "cpu.in") - distributions(imported(*HANDLERS)) == set()


def for_a_gpu(packages: Iterable[str]) -> set[str]:
    """Of these, what a CPU has no use for: gigabytes that a cold platform would pull."""
    return {name for name in packages if name in ("torch", "triton", "onnxruntime-gpu") or name.startswith(("nvidia-", "cuda-"))}


def test_the_image_for_a_cpu_has_no_torch_no_triton_and_nothing_of_nvidias() -> None:
    assert for_a_gpu(names(REQUIREMENTS / "cpu.txt")) == set()
    # It would have been seen.
    assert {"torch", "triton", "nvidia-cublas-cu12"} < for_a_gpu(names(REQUIREMENTS / "gpu-torch.txt"))
    assert {"onnxruntime-gpu", "nvidia-cublas-cu12"} < for_a_gpu(names(REQUIREMENTS / "gpu.txt"))


def test_the_image_for_a_gpu_is_the_same_over_http_with_the_other_build_of_the_engine() -> None:
    same = names(REQUIREMENTS / "cpu.in") - {"awslambdaric", "boto3", "onnxruntime"}
    assert names(REQUIREMENTS / "gpu.in") == same | {"onnxruntime-gpu"}
    assert names(REQUIREMENTS / "gpu-torch.in") == same | {"torch", "safetensors", "transformers"}


def test_the_images_for_a_gpu_need_no_newer_driver_than_the_one_of_cloud_runs_l4() -> None:
    """CUDA 12 by its packages; what is made for 13 needs driver 580."""
    for name in ("gpu", "gpu-torch"):
        cuda = {package for package in names(REQUIREMENTS / f"{name}.txt") if package.startswith("nvidia-cu")}
        assert cuda
        assert {package for package in cuda if not package.endswith("-cu12")} == set()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_functions_image_carries_what_they_import_and_asks_for_nothing_else(cloud: str) -> None:
    shared = [*(ROOT / "handlers/functions").glob("*.py"), *(ROOT / "handlers/web").glob("*.py")]
    needed = distributions(imported(*of_cloud(cloud), *shared))
    assert needed - names(REQUIREMENTS / f"function-{cloud}.txt") == set()
    assert names(REQUIREMENTS / f"function-{cloud}.in") - needed == set()


def test_the_model_server_reads_blobs_with_nothing_that_its_image_has_not() -> None:
    """It imports Azure's modules, and its lock has none of Azure's packages."""
    assert distributions(imported(*of_cloud("azure"))) == set()


def test_the_functions_zip_needs_only_what_lambdas_runtime_or_its_lock_has() -> None:
    needed = distributions(imported(*FUNCTIONS) - LAMBDA_RUNTIME)
    assert needed - names(REQUIREMENTS / "function-aws.txt") == set()


def of_other_folders(files: Iterable[Path]) -> set[str]:
    """Modules of `handlers` outside of `handlers/functions` that these files import."""
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    ours = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    ours |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name for name in ours if name.split(".")[0] == "handlers" and not name.startswith("handlers.functions")}


def test_the_functions_import_nothing_of_the_model_server() -> None:
    assert of_other_folders(FUNCTIONS) == set()
    # Those that run in an image of their own have an HTTP server of ours in it.
    for cloud in CLOUDS:
        assert {name.rpartition(".")[0] for name in of_other_folders(of_cloud(cloud))} == {"handlers.web"}
    assert {name.rpartition(".")[0] for name in of_other_folders((ROOT / "handlers/web").glob("*.py"))} == {"handlers.web"}
