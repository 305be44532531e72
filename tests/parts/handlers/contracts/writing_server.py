"""The model server with the model that knows the alphabet, which comes from no folder."""

import sys

from handlers.engines import loading
from handlers.server import __main__
from tests.parts.handlers.alphabet import alphabet_model, manifest

# The model's name, and how many inputs it goes on with side by side.
MODEL, PLACES = "alphabet", 2


def _begin(settings, mark):
    return lambda *_: loading.Loaded(manifest(), alphabet_model(places=PLACES, sound=True), ("cpu",))


if __name__ == "__main__":
    loading.begin = _begin
    sys.exit(__main__.main())
