"""Why an object got no result, out of a function's log group as CloudWatch gives it out: in pages, some of them empty."""

import json

import boto3
from botocore.stub import Stubber

from pilotlight.cli.aws.logs import CloudWatchLogs
from pilotlight.cli.clouds import Failure

GROUP = "/aws/lambda/mine-events"


def test_a_reason_on_a_later_page_is_found() -> None:
    logs = CloudWatchLogs.__new__(CloudWatchLogs)
    logs._client = boto3.client("logs", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    logs._groups = ["/aws/sagemaker/Endpoints/mine", GROUP]
    asked = {"logGroupName": GROUP, "startTime": 5, "filterPattern": '"call-1"'}
    event = {"message": json.dumps({"reason": "no text", "permanent": True})}
    with Stubber(logs._client) as stub:
        stub.add_response("filter_log_events", {"events": [], "nextToken": "more"}, asked)
        stub.add_response("filter_log_events", {"events": [event, {"message": "START"}]}, {**asked, "nextToken": "more"})
        assert logs.failure("call-1", 5) == Failure(reason="no text", permanent=True)
        stub.assert_no_pending_responses()
