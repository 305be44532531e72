"""Whatever arguments a program has for its operators: each call is refused or gives something, and no process ends by one."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.size import examples

ROOT = Path(__file__).resolve().parents[2]
# glibc's own, which looks at what lies behind a piece of memory when it is given back.
CHECKED = Path("/lib/x86_64-linux-gnu/libc_malloc_debug.so.0")
TOO_LONG = "SIGKILL"
# Of operators that hardly any drawn call fits.
RARE = 40


def test_no_call_of_an_operator_that_may_be_called_ends_its_process():
    checking = {"LD_PRELOAD": str(CHECKED), "MALLOC_CHECK_": "3"} if CHECKED.is_file() else {}
    command = [sys.executable, "-W", "ignore", "-m", "tests.torch.hostile_calls", str(examples(8, 60)), "1"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | checking, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["name"]: each["ends"] for each in found if any(how != TOO_LONG for how, _ in each["ends"])} == {}
    assert len(found) > 250
    assert len([each["name"] for each in found if not each["gave"]]) <= examples(len(found) // 2, RARE), found
