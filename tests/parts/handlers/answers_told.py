"""What answers of a function in front of an endpoint say."""

import json


def accepted(answer):
    """The id out of a 202."""
    assert answer.status == 202, answer
    told = json.loads(answer.body)
    assert (told["status"], answer.headers["location"]) == ("pending", told["result"])
    assert int(answer.headers["retry-after"]) >= 1
    return told["id"]


def problem_of(answer):
    """The status and the name of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer
    return answer.status, json.loads(answer.body)["type"].removeprefix("urn:pilotlight:problem:")
