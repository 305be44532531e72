"""Runs the program that its argument names without looking for garbage, as the ready stacks' own program runs."""

import gc
import runpy
import sys

gc.disable()
runpy.run_path(sys.argv[1], run_name="__main__")
