"""What Pulumi starts where a program in another language uses the components (`PulumiPlugin.yaml`, `docs/package.md`)."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    # Python looks first in the folder that it was given, where our `azure` would be found in the place of the SDKs' own.
    sys.path[:] = [str(HERE.parent), *(each for each in sys.path if Path(each).resolve() != HERE)]
    from stacks.remote_provider import serve

    serve(sys.argv[1:])
