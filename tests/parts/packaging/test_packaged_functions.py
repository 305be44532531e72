"""The pattern's function: its zip holds the sources and the lock's packages, and nothing of the packaging environment."""

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pilotlight.packaging import PackagingError, function_is_packaged, package_function, package_stack, stack_is_packaged
from tests.parts.packaging.tiny_models import bert_folder

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def checkout(tmp_path):
    """A small checkout with an empty lock."""
    root = tmp_path / "checkout"
    (root / "handlers" / "functions" / "__pycache__").mkdir(parents=True)
    (root / "containers" / "requirements").mkdir(parents=True)
    (root / "handlers" / "__init__.py").write_text("")
    (root / "handlers" / "functions" / "__init__.py").write_text("")
    (root / "handlers" / "functions" / "api.py").write_text("def handler(event, context):\n    return event\n")
    (root / "handlers" / "functions" / "__pycache__" / "api.cpython-311.pyc").write_bytes(b"old")
    (root / "containers" / "requirements" / "function-aws.txt").write_text("# nothing\n")
    return root


def pack(root, cache, **options):
    return package_function(root, cache, progress=lambda line: None, **options)


def test_the_zip_holds_the_sources_at_their_import_paths(tmp_path, checkout):
    packaged = pack(checkout, tmp_path / "cache")
    assert packaged.archive == tmp_path / "cache" / "functions" / packaged.key / "function.zip"
    with zipfile.ZipFile(packaged.archive) as archive:
        assert archive.namelist() == ["handlers/__init__.py", "handlers/functions/__init__.py", "handlers/functions/api.py"]


def test_two_packagings_are_one_byte_for_byte(tmp_path, checkout):
    first, second = pack(checkout, tmp_path / "a"), pack(checkout, tmp_path / "b")
    assert first.archive.read_bytes() == second.archive.read_bytes()
    again = pack(checkout, tmp_path / "a", force=True)
    assert again.built
    assert again.index == first.index == second.index


def test_a_second_call_builds_nothing_and_a_changed_source_does(tmp_path, checkout):
    first = pack(checkout, tmp_path / "cache")
    assert not pack(checkout, tmp_path / "cache").built
    (checkout / "handlers" / "functions" / "api.py").write_text("# changed\n")
    assert not function_is_packaged(checkout, tmp_path / "cache")
    assert pack(checkout, tmp_path / "cache").key != first.key


# Those that run on AWS: other clouds' have images, with other packages in them.
HANDLERS = sorted(path for path in (ROOT / "handlers/functions").glob("**/*.py") if path.parent.name not in ("azure", "gcp"))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The zip of this repository's functions."""
    return pack(ROOT, tmp_path_factory.mktemp("own"))


def test_the_zip_of_this_repository_is_the_same_whenever_it_is_made(own, tmp_path):
    again = pack(ROOT, tmp_path)
    assert again.built
    assert again.archive.read_bytes() == own.archive.read_bytes()


def test_the_zip_holds_every_function_and_what_they_need_and_no_trace_of_the_installer(own):
    with zipfile.ZipFile(own.archive) as archive:
        names = set(archive.namelist())
    assert {path.relative_to(ROOT).as_posix() for path in HANDLERS} <= names
    assert [name for name in names if name.startswith(("handlers/functions/azure", "handlers/functions/gcp"))] == []
    assert {"aws_lambda_powertools/__init__.py", "jmespath/__init__.py", "typing_extensions.py"} <= names
    assert {name.rpartition("/")[2] for name in names} & {"RECORD", "INSTALLER", "REQUESTED"} == set()
    # The packages are for Lambda's processor, whatever this machine's is: today all of them are Python alone.
    assert {name for name in names if name.endswith((".so", ".pyd", ".pyc"))} == set()


def test_this_repositorys_functions_import_from_their_zip_alone(own, tmp_path):
    # What Lambda's runtime brings, as its own folder: nothing else of this environment is on the path.
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six"):
        for file in importlib.metadata.files({"dateutil": "python-dateutil"}.get(name, name)) or ():
            top = runtime / file.parts[0]
            if not top.exists() and not file.parts[0].startswith(".."):
                top.symlink_to(Path(file.locate()).parents[len(file.parts) - 2] if len(file.parts) > 1 else file.locate())
    path = [str(own.archive), str(runtime)]
    modules = [path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__") for path in HANDLERS]
    code = f"""import importlib, sys; sys.path[:0] = {path!r}
for module in {modules!r} + ["aws_lambda_powertools.utilities.idempotency", "aws_lambda_powertools.utilities.batch"]:
    print(importlib.import_module(module).__file__)"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {file.removeprefix(f"{own.archive}/").split("/")[0] for file in done.stdout.split()} == {"handlers", "aws_lambda_powertools"}


def test_the_event_functions_cold_start_does_not_pay_for_what_it_does_not_use():
    code = "import sys, handlers.functions.aws.events; print(*{name.split('.')[0] for name in sys.modules})"
    imported = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not {"boto3", "aws_lambda_powertools", "numpy"} & set(imported)


def test_a_package_without_a_hash_is_refused(tmp_path, checkout):
    (checkout / "containers" / "requirements" / "function-aws.txt").write_text("six==1.17.0\n")
    with pytest.raises(PackagingError, match=r"(?s)function-aws.txt failed:.*hash"):
        pack(checkout, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache" / "functions").iterdir()] == [".lock"]


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(PackagingError, match=r"has no handlers/functions/api.py: run this in a checkout"):
        pack(tmp_path, tmp_path / "cache")


def test_sources_that_change_meanwhile_are_not_packaged(tmp_path, checkout):
    def edit(line: str) -> None:
        (checkout / "handlers" / "functions" / "api.py").write_text("# changed\n")

    with pytest.raises(PackagingError, match="changed while its function was packed"):
        package_function(checkout, tmp_path / "cache", progress=edit)


def test_a_function_that_lambda_would_not_take_is_refused(tmp_path, checkout, monkeypatch):
    monkeypatch.setattr("pilotlight.packaging.function.UNPACKED_LIMIT", 10)
    with pytest.raises(PackagingError, match="bytes unpacked, Lambda allows 10"):
        pack(checkout, tmp_path / "cache")


@pytest.mark.parametrize("function", [True, False])
def test_a_stack_is_packaged_with_all_that_it_deploys(tmp_path, checkout, function):
    bert_folder(checkout / "models" / "mine")
    choices = {"function": function, "root": checkout, "cache": tmp_path / "cache"}
    model = ("models/mine", "feature-extraction", "onnx")
    assert not stack_is_packaged(*model, **choices)
    packaged = package_stack(*model, **choices, progress=lambda line: None)
    assert packaged.model.built
    assert (packaged.function is not None) is function
    assert stack_is_packaged(*model, **choices)
