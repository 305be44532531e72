"""An ONNX file that the source already holds: found, checked, and used as it is."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from pilotlight.packaging.errors import PackagingError

PLACES = ("model.onnx", "onnx/model.onnx")


def find_ready(folder: Path) -> Path | None:
    """The source's own graph, or None."""
    return next((folder / place for place in PLACES if (folder / place).is_file()), None)


def external_files(graph: Path) -> list[Path]:
    """The files that hold the graph's large weights. Raises PackagingError for a graph that can't be read, or files that aren't beside it."""
    try:
        model = onnx.load(graph, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise PackagingError(f"{graph} is no ONNX file ({error}): remove it to have the graph written from the weights.") from error
    names = {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for name in sorted(names):
        if Path(name).name != name:
            raise PackagingError(f"{graph} keeps weights in {name!r}: only files beside the graph are allowed.")
        if not (graph.parent / name).is_file():
            raise PackagingError(f"{graph} keeps weights in {name!r}, which is not there: get the whole model.")
    return [graph.parent / name for name in sorted(names)]
