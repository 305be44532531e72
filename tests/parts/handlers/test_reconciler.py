"""The check that an endpoint has the floor of its plan, against botocore's stubs, which know the real API."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from handlers.functions.aws.reconciler import Reconciler, Wanted

ENDPOINT = "pilotlight-dev"
EVENT = {"config": "scheduled-2", "same": ["config-2", "scheduled-2"], "known": ["config-0", "config-2", "scheduled-0", "scheduled-2"]}


@pytest.fixture
def stub() -> Any:
    made: Any = boto3
    client = made.client("sagemaker", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def found(stub: Stubber, config: str, status: str = "InService") -> None:
    answer = {"EndpointName": ENDPOINT, "EndpointArn": "arn:aws:sagemaker:x:1:endpoint/e", "EndpointConfigName": config}
    times = {"CreationTime": 0, "LastModifiedTime": 0}
    stub.add_response("describe_endpoint", {**answer, **times, "EndpointStatus": status}, {"EndpointName": ENDPOINT})


def reconciled(stub: Stubber) -> str:
    return Reconciler(ENDPOINT, stub.client).reconcile(Wanted.of(EVENT))


@pytest.mark.parametrize("config", ["config-2", "scheduled-2"])
def test_an_endpoint_with_the_floor_is_left_alone_whichever_side_gave_it(stub: Stubber, config: str) -> None:
    found(stub, config)
    assert reconciled(stub) == "kept"


@pytest.mark.parametrize("config", ["config-0", "scheduled-0"])
def test_an_endpoint_with_another_floor_of_the_same_deployment_is_mended(stub: Stubber, config: str) -> None:
    found(stub, config)
    answer = {"EndpointArn": "arn:aws:sagemaker:eu-central-1:111122223333:endpoint/pilotlight-dev"}
    stub.add_response("update_endpoint", answer, {"EndpointName": ENDPOINT, "EndpointConfigName": "scheduled-2"})
    assert reconciled(stub) == "updated"


def test_a_configuration_of_another_deployment_is_left_alone(stub: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    found(stub, "config-0-of-the-next-up")
    assert reconciled(stub) == "foreign"
    assert '"level":"WARNING"' in capsys.readouterr().out


@pytest.mark.parametrize("status", ["Creating", "Updating", "RollingBack", "Deleting", "Failed", "SystemUpdating"])
def test_an_endpoint_that_is_changing_is_looked_at_again_later(stub: Stubber, status: str) -> None:
    found(stub, "config-0", status)
    assert reconciled(stub) == "busy"


def test_a_refused_swap_is_an_error(stub: Stubber) -> None:
    found(stub, "config-0")
    stub.add_client_error("update_endpoint", "ValidationException", "Cannot update in-progress endpoint")
    with pytest.raises(ClientError, match="in-progress"):
        reconciled(stub)


@pytest.mark.parametrize("event", [{}, {"config": "c"}, {"config": 1, "same": [], "known": []}, {"parallel": 2}])
def test_what_is_no_schedules_event_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="none of the schedules'"):
        Wanted.of(event)
