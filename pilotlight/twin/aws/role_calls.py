"""API calls that a service of the twin makes as a role: signed with its credentials and sent through the front, like anybody's."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# Calls at once. The front may need the loop's own threads to answer, so that these must be others.
WORKERS = 16
# A role's session is used again for so long; the twin's sessions last hours.
SESSION_S = 1800.0


class RoleCalls:
    """Every call is decided by IAM, counted and broken by faults as if a client had made it."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="role-calls")
        self._clients: dict[tuple[str, str, str], tuple[float, Any]] = {}

    async def call(self, role_arn: str, service: str, operation: str, parameters: dict[str, Any], region: str) -> dict[str, Any]:
        """The answer of boto3's client. `operation` is the API's name (UpdateEndpoint). Refusal with the service's code and message."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._call, role_arn, service, operation, parameters, region)

    def model(self, service: str) -> Any:
        """botocore's description of a service; Refusal where it knows none of that name."""
        from botocore.exceptions import UnknownServiceError

        try:
            return self._session.get_service_model(service)
        except UnknownServiceError:
            raise Refusal("ValidationException", f"{service!r} is no service that AWS's SDK knows.") from None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @cached_property
    def _session(self) -> Any:
        # Loading botocore takes a third of a second, which a twin without schedules does not have to pay.
        import botocore.session

        return botocore.session.Session()

    def _call(self, role_arn: str, service: str, operation: str, parameters: dict[str, Any], region: str) -> dict[str, Any]:
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError

        client = self._client(role_arn, service, region)
        try:
            answer: dict[str, Any] = getattr(client, xform_name(operation))(**parameters)
        except ClientError as error:
            said = error.response.get("Error", {})
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
            raise Refusal(str(said.get("Code", "Unknown")), str(said.get("Message", error)), status) from None
        except BotoCoreError as error:
            raise Refusal("ServiceUnavailable", str(error), 503) from None
        return answer

    def _client(self, role_arn: str, service: str, region: str) -> Any:
        from botocore.config import Config

        role = self._twin.iam.role(role_arn)
        if role is None:
            raise Refusal("AccessDeniedException", f"The role {role_arn} does not exist.", 403)
        # A role that was deleted and made anew is another one: the old one's sessions are worth nothing.
        key = (str(role.get("uniqueId", role.urn)), service, region)
        made, client = self._clients.get(key, (0.0, None))
        if client is None or time.monotonic() - made > SESSION_S:
            issued = self._twin.iam.credentials(role_arn, "pilotlight-twin")
            client = self._session.create_client(
                service,
                region_name=region,
                endpoint_url=self._twin.front_url,
                aws_access_key_id=issued.access_key_id,
                aws_secret_access_key=issued.secret_access_key,
                aws_session_token=issued.session_token,
                config=Config(retries={"total_max_attempts": 1}, read_timeout=900, max_pool_connections=WORKERS, proxies={}),
            )
            self._clients[key] = (time.monotonic(), client)
        return client
