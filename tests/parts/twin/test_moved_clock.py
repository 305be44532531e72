"""The wall clock of a Python that was started with it ahead, asked in every way that the standard library has."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pilotlight.twin import moved_clock

AHEAD_S = 40 * 86_400
# A process has to start, on a busy machine.
SLOW_S = 60
ASKED = {
    "time": "time.time()",
    "nanoseconds": "time.time_ns() / 1e9",
    "gmtime": "calendar.timegm(time.gmtime())",
    "localtime": "time.mktime(time.localtime())",
    "strftime": "float(time.strftime('%s'))",
    "now": "datetime.datetime.now().timestamp()",
    "now in a zone": "datetime.datetime.now(zoneinfo.ZoneInfo('Europe/Berlin')).timestamp()",
    "utcnow": "datetime.datetime.utcnow().replace(tzinfo=datetime.UTC).timestamp()",
    "today": "datetime.datetime.today().timestamp()",
    "date": "time.mktime(datetime.date.today().timetuple()) + 86400 / 2",
    "a header": "email.utils.parsedate_to_datetime(email.utils.formatdate(usegmt=True)).timestamp()",
}
PROGRAM = """
import calendar, datetime, email.utils, json, pickle, sys, time, zoneinfo
asked = {name: eval(text) for name, text in json.loads(sys.argv[1]).items()}
moment = datetime.datetime(2027, 1, 31, 12, tzinfo=datetime.UTC)
same = [
    type(moment - datetime.timedelta(days=1)) is datetime.datetime,
    isinstance(moment, datetime.date),
    not isinstance(datetime.date(2027, 1, 31), datetime.datetime),
    pickle.loads(pickle.dumps(moment)) == moment == datetime.datetime.fromisoformat(moment.isoformat()),
    time.gmtime(0).tm_year == 1970 and time.strftime("%Y", time.gmtime(0)) == "1970",
]
print(json.dumps({"asked": asked, "same": same, "monotonic": time.monotonic()}))
"""


@pytest.mark.parametrize(("variables", "ahead_s"), [({"TWIN_CLOCK_AHEAD_S": str(AHEAD_S)}, AHEAD_S), ({}, 0)], ids=["ahead", "as it is"])
def test_every_question_for_the_time_is_answered_with_the_moved_one(tmp_path: Path, variables: dict[str, str], ahead_s: int) -> None:
    shutil.copyfile(moved_clock.__file__, tmp_path / "sitecustomize.py")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), **variables}
    before = time.time()
    run = subprocess.run([sys.executable, "-c", PROGRAM, json.dumps(ASKED)], env=environment, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    found = json.loads(run.stdout)
    away = {name: said - before - ahead_s for name, said in found["asked"].items()}
    assert abs(away.pop("date")) <= 86_400 / 2 + SLOW_S
    assert all(-1 <= seconds <= SLOW_S for seconds in away.values()), away
    assert found["same"] == [True] * len(found["same"])
    assert abs(found["monotonic"] - time.monotonic()) < SLOW_S
