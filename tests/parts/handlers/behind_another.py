"""The model server in the place of a program that has begun another one, as a script does that ends with `exec`."""

import os
import sys

if __name__ == "__main__":
    if os.fork() == 0:
        os._exit(0)
    os.execv(sys.executable, [sys.executable, "-m", "handlers.server", "serve"])
