"""Which nodes of an ONNX graph read a value, also where only a branch of theirs does."""

from collections.abc import Iterator

from onnx import GraphProto, NodeProto


def readers(graph: GraphProto) -> dict[str, list[NodeProto]]:
    """The nodes that read each value, one entry for each time. What the branch of an `If` or the body of a loop takes from around it
    is read by the node that has it."""
    found: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in _read(node):
            found.setdefault(name, []).append(node)
    return found


def _read(node: NodeProto) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
            # ONNX lets no inner name stand for another one of outside, so that what is not made inside is taken from around.
            made = {value.name for value in inner.input} | {tensor.name for tensor in inner.initializer}
            made |= {name for each in inner.node for name in each.output}
            yield from (name for each in inner.node for name in _read(each) if name not in made)
            yield from (value.name for value in inner.output if value.name not in made)
