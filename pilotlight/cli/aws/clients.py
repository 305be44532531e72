"""AWS SDK clients that go where a session's stack lives: the twin, or the user's own account."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session

PATIENCE_S = 10


def client(service: str, session: Session, region: str) -> Any:
    """A client of one AWS service under the session's variables and nothing else; raises CommandError without boto3."""
    try:
        import boto3
        import botocore.config
    except ModuleNotFoundError as error:
        raise CommandError("The AWS SDK is not installed: run `make setup CLOUD=aws`.", Exit.MISSING) from error
    settings = botocore.config.Config(connect_timeout=PATIENCE_S, read_timeout=PATIENCE_S * 3, retries={"total_max_attempts": 3})
    if not session.local:
        return boto3.Session(profile_name=session.variables.get("AWS_PROFILE") or None).client(service, region_name=region, config=settings)
    variables = session.variables
    return boto3.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=variables.get("AWS_SESSION_TOKEN") or None,
    ).client(service, region_name=region, endpoint_url=variables["AWS_ENDPOINT_URL"], config=settings)


def region_of(session: Session, stack: str) -> str:
    """The region that the stack's file names; raises CommandError without one."""
    region = session.project.stack_config(stack).get("aws:region") or session.variables.get("AWS_REGION")
    if not region:
        raise CommandError(f"{stack} names no region: set `aws:region` in {session.project.stack_file(stack)}.")
    return str(region)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn an SDK's error into a CommandError that begins with `what` was being done."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        details = error.response.get("Error", {})
        raise CommandError(f"{what}: {details.get('Code')}: {details.get('Message')}", Exit.FAILED) from error
    except BotoCoreError as error:
        raise CommandError(f"{what}: {error}", Exit.FAILED) from error
