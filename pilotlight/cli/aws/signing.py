"""Requests signed with the deployer's credentials, for stacks with `auth.mode: iam`."""

from collections.abc import Mapping

from pilotlight.cli.exits import CommandError
from pilotlight.cli.session import Session


def signed(session: Session, region: str, method: str, url: str, body: bytes, given: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request with its signature (SigV4); raises CommandError without credentials."""
    import botocore.session
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    if session.local:
        found = session.variables
        credentials = Credentials(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], found.get("AWS_SESSION_TOKEN") or None)
    else:
        own = botocore.session.Session(profile=session.variables.get("AWS_PROFILE") or None).get_credentials()
        if own is None:
            raise CommandError("No AWS credentials were found, and this stack wants signed calls: log in with the AWS CLI first.")
        credentials = own
    request = AWSRequest(method=method, url=url, data=body, headers=dict(given))
    SigV4Auth(credentials, "execute-api", region).add_auth(request)
    return dict(request.headers.items())
