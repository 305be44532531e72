"""A stack's program imports its own cloud's SDK, and nothing of another cloud's: a plan in a process of its own, one stack a cloud."""

import json
import subprocess
import sys

import pytest

from benchmarks.program import SDKS

# With everything that a plan of theirs may hold; `make bench` looks at every stack (`benchmarks/program.py`).
STACKS = ("aws-sagemaker-events", "azure-container-apps-events", "gcp-cloud-run-events")
# Pulumi's own wire format is Google's too, and of no cloud.
CODE = """
import json, sys
from pilotlight.planned import planned
assert len(planned(sys.argv[1])) > 30
of_clouds = ("pulumi_", "boto3", "botocore", "google.", "googleapiclient", "azure")
wire = ("google.protobuf", "google._upb", "google.rpc")
print(json.dumps([name for name in sys.modules if name.startswith(of_clouds) and not name.startswith(wire)]))
"""


def test_every_cloud_is_tried() -> None:
    assert [stack.partition("-")[0] for stack in STACKS] == sorted(SDKS)


@pytest.mark.parametrize("stack", STACKS)
def test_a_program_imports_no_other_clouds_sdk(stack: str) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, stack], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imported = json.loads(done.stdout)
    assert sorted({name.partition(".")[0] for name in imported}) == SDKS[stack.partition("-")[0]], imported
