"""An ONNX file that the source already holds: found, checked, and used as it is."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx.external_data_helper import _get_all_tensors

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.onnx_writer import DATA, GRAPH, move_weights_out

PLACES = ("model.onnx", "onnx/model.onnx")


def find_ready(folder: Path) -> Path | None:
    """The source's own graph, or None."""
    return next((folder / place for place in PLACES if (folder / place).is_file()), None)


def take_ready(graph: Path, work: Path) -> dict[str, Path]:
    """The artifact's members for a ready graph: its own files, untouched, where the model server knows their names.

    A graph whose weights lie in files of other names is the one thing rewritten, into `work`: the weights move to `model.onnx.data`.
    Raises PackagingError for a graph that can't be read, or whose weights aren't beside it.
    """
    try:
        model = onnx.load(graph, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise PackagingError(f"{graph} is no ONNX file ({error}): remove it to have the graph written from the weights.") from error
    names = _weight_files(graph, model)
    if names <= {DATA}:
        return {GRAPH: graph} | {name: graph.parent / name for name in names}
    onnx.load_external_data_for_model(model, str(graph.parent))
    move_weights_out(model, work / DATA)
    (work / GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    return {GRAPH: work / GRAPH, DATA: work / DATA}


def _weight_files(graph: Path, model: onnx.ModelProto) -> set[str]:
    # Constants of the graph may lie outside of it, too.
    external = [tensor for tensor in _get_all_tensors(model) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    names = {entry.value for tensor in external for entry in tensor.external_data if entry.key == "location"}
    for name in sorted(names):
        if Path(name).name != name:
            raise PackagingError(f"{graph} keeps weights in {name!r}: only files beside the graph are allowed.")
        if not (graph.parent / name).is_file():
            raise PackagingError(f"{graph} keeps weights in {name!r}, which is not there: get the whole model.")
    return names
