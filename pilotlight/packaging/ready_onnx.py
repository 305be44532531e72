"""An ONNX file that the source already holds: found, checked, and used as it is."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx.checker import ValidationError
from onnx.external_data_helper import _get_all_tensors

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.onnx_writer import DATA, GRAPH, move_weights_out

PLACES = ("model.onnx", "onnx/model.onnx")


def find_ready(folder: Path) -> Path | None:
    """The source's own graph, or None."""
    return next((folder / place for place in PLACES if (folder / place).is_file()), None)


def ready_files(graph: Path) -> list[Path]:
    """A ready graph and the files of its weights. Raises PackagingError for one that can't be read, or whose weights aren't beside it."""
    return [graph, *_weight_files(graph, _read(graph)).values()]


def take_ready(graph: Path, work: Path) -> dict[str, Path]:
    """The artifact's members for a ready graph: its own files, untouched, where the model server knows their names.

    A graph whose weights lie in files of other names is the one thing rewritten, into `work`: the weights move to `model.onnx.data`. Of
    links, and of files that have other names as well, `work` gets copies.
    Raises PackagingError for a graph that can't be read, or whose weights aren't beside it or are cut off.
    """
    model = _read(graph)
    files = {GRAPH: graph} | _weight_files(graph, model)
    if len(files) > 1 and any(_has_links(file) for file in files.values()):
        files = _copies(files, work / "plain")
    if files.keys() <= {GRAPH, DATA}:
        return files
    load_weights(model, files[GRAPH])
    move_weights_out(model, work / DATA)
    (work / GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    return {GRAPH: work / GRAPH, DATA: work / DATA}


def load_weights(model: onnx.ModelProto, graph: Path) -> None:
    """Read what lies beside the graph into its model. Raises PackagingError where it is cut off, or no plain file."""
    try:
        onnx.load_external_data_for_model(model, str(graph.parent))
    except (ValidationError, ValueError) as error:
        raise PackagingError(f"The weights beside {graph} can't be read ({error}): get the whole model.") from error


def _read(graph: Path) -> onnx.ModelProto:
    """Without what lies beside it."""
    try:
        return onnx.load(graph, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise PackagingError(f"{graph} is no ONNX file ({error}): remove it to have the graph written from the weights.") from error


def _weight_files(graph: Path, model: onnx.ModelProto) -> dict[str, Path]:
    """By their names in the graph."""
    # Constants of the graph may lie outside of it, too.
    external = [tensor for tensor in _get_all_tensors(model) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    names = sorted({entry.value for tensor in external for entry in tensor.external_data if entry.key == "location"})
    # The hub's own folders hold links to files that lie beside each other elsewhere.
    homes = (graph.parent.resolve(), graph.resolve().parent)
    for name in names:
        if Path(name).name != name:
            raise PackagingError(f"{graph} keeps weights in {name!r}: only files beside the graph are allowed.")
        if not (graph.parent / name).is_file():
            raise PackagingError(f"{graph} keeps weights in {name!r}, which is not there: get the whole model.")
        if not any((graph.parent / name).resolve().is_relative_to(home) for home in homes):
            raise PackagingError(f"{graph} keeps weights in {name!r}, a link to elsewhere: put a copy of the file beside the graph.")
    return {name: graph.parent / name for name in names}


def _has_links(file: Path) -> bool:
    """Such files onnx does not read: links of the hub's folders, and what uv installs without copying it."""
    return file.is_symlink() or file.stat().st_nlink > 1


def _copies(files: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    folder.mkdir()
    for name, file in files.items():
        shutil.copyfile(file, folder / name)
    return {name: folder / name for name in files}
