"""Models of one's own, a folder each: `<name>/model.py` with a class `Model` of two verbs, and its data in `<name>/files/`.

`load` is called once, in the thread that will predict; `predict` gets the inputs of a request and gives as many outputs. What it takes
and gives it says by its annotations, of which a server checks requests and writes its OpenAPI: dataclasses, TypedDicts, msgspec.Structs,
texts, numbers, lists, and `Annotated[float, msgspec.Meta(gt=0)]` for bounds. `example` is an input: what a ping asks, what the OpenAPI
shows, and what the tests predict with. A further argument `parameters` of `predict` is a request's `parameters`, of a class whose fields
all have defaults. `handlers.functions.problems.InputRefused` refuses an input that its type allows. With `together = True` a call of
`predict` gets the inputs of all requests that wait and have the same parameters.

Packaging (`model.source: handlers/models/<name>`, `model.task: custom`) puts the files into the model's artifact, by their names alone;
the code goes with the image, and what it imports stands in `containers/requirements/cpu.in`.
"""
