"""The model server as the image runs it, which also finds the models of this folder."""

from pathlib import Path

import handlers.models
from handlers.server.__main__ import main

if __name__ == "__main__":
    handlers.models.__path__.append(str(Path(__file__).parent))
    raise SystemExit(main())
