"""The role `warmer`: one run of a job, whose pings reach the model and count as no caller's request."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from handlers.functions.azure import warmer
from handlers.functions.environment import SettingsError
from tests.parts.handlers.http_servers import front_of
from tests.parts.handlers.processes import ROOT, exit_of, running

ROLE = ("handlers.functions.azure", "warmer")
# Nothing answers there.
NOWHERE = "http://127.0.0.1:1"


def role_of(**told):
    return warmer.make({"ENDPOINT_URL": NOWHERE} | told)


def test_a_run_warms_the_model_and_ends(tiny, certificate, tmp_path):
    with running(tmp_path, MODEL_DIR=str(tiny)) as model, front_of(str(model.client.base_url), tls=certificate.context) as front:
        told = {"ENDPOINT_URL": front.address, "SSL_CERT_FILE": str(certificate.ca_file), "SERVICE": "mine"}
        told |= {"PARALLEL": "3", "INSTANCES": "1", "CONTAINER_APP_JOB_NAME": "mine-ping"}
        status, log = exit_of(tmp_path, ROLE, **told)
        assert 'pilotlight_pings_total{status="200"} 3' in model.client.get("/metrics").text
    lines = [json.loads(line) for line in log.splitlines()]
    assert (status, [line["event"] for line in lines]) == (0, ["warmed", "metrics"])
    assert (lines[0]["answered"], lines[0]["cold"], lines[0]["level"]) == (3, 1, "INFO")
    assert (lines[1]["Service"], lines[1]["Pings"], lines[1]["PingsFailed"]) == ("mine", 3, 0)


def test_pings_that_nobody_answers_fail_the_run(tmp_path):
    status, log = exit_of(tmp_path, ROLE, ENDPOINT_URL=NOWHERE, PARALLEL="2", REQUEST_TIMEOUT_S="2")
    assert status == 1
    assert json.loads(log.splitlines()[-1])["event"] == "warming_failed"


@pytest.mark.parametrize(
    ("now", "holds"),
    [
        ("2026-01-05T07:00", True),  # 8 o'clock in Berlin's winter, a Monday
        ("2026-01-05T06:59", False),
        ("2026-01-05T09:59", True),
        ("2026-01-05T10:00", False),
        ("2026-07-06T06:00", True),  # the same in summer
        ("2026-07-06T05:59", False),
        ("2026-07-06T09:00", False),
        ("2026-01-04T07:00", False),  # a Sunday
    ],
)
def test_the_plans_hours_are_those_of_its_time_zone(now, holds):
    times = role_of(HOURS="8,9,10", DAYS="0,1,2,3,4", TIMEZONE="Europe/Berlin").times
    assert times.hold(datetime.fromisoformat(now).replace(tzinfo=UTC)) == holds


def test_outside_of_the_plan_nothing_is_pinged_and_the_run_goes_well(capsys):
    assert role_of(UNTIL="2020-01-31T23:00:00Z").run() == 0
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["not_warmed"]
    assert role_of(UNTIL="2999-01-31T23:00:00+01:00", REQUEST_TIMEOUT_S="2").run() == 1


def test_bad_variables_are_refused_all_at_once():
    told = {"ENDPOINT_URL": "", "PARALLEL": "0", "INSTANCES": "many", "HOURS": "24", "DAYS": "7", "TIMEZONE": "Mars", "UNTIL": "2027-01-31"}
    with pytest.raises(SettingsError) as refusal:
        warmer.make(told)
    lines = str(refusal.value).splitlines()
    assert sorted(line.partition(" ")[0] for line in lines) == sorted(told)


def test_a_cold_start_of_those_without_a_server_imports_none():
    for role in ("events", "worker", "warmer", "forgetter", "floor"):
        code = f"import sys, handlers.functions.azure.runs, handlers.functions.azure.{role}; print(*sys.modules)"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
        tops = {name.partition(".")[0] for name in run.stdout.split()}
        assert not {"uvicorn", "httptools", "asyncio", "azure", "requests", "boto3", "numpy"} & tops, role
