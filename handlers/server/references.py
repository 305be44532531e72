"""Inputs by reference: the object that a request names instead of carrying it, fetched with the server's own role."""

import functools
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from handlers.functions import objects
from handlers.functions.outcomes import Refused
from handlers.functions.problems import BodyTooLarge, InputRefused, ModelFailed
from handlers.functions.requests import PredictionRequest

CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 20
# What will not come back. Anything else, a denied access among it, is the server's affair and no fault of the request.
_GONE = {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed", "InvalidObjectState", "404", "405"}


class References:
    """Objects of at most `max_bytes` below `root` (s3://BUCKET/PREFIX of their keys); without a root nothing is fetched."""

    def __init__(self, root: str | None, *, max_bytes: int, max_inputs: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._max_inputs = max_inputs

    @property
    def allowed(self) -> bool:
        return self._root is not None

    def fetched(self, request: PredictionRequest) -> PredictionRequest:
        """The request with the inputs of the object that it names; its own parameters stay. Blocks.

        Raises InputRefused for an address that is not below the root, an object that is gone or can't be read as inputs, and
        for too many of them; BodyTooLarge; ModelFailed when S3 does not give it.
        """
        bucket, key, which = self._address(request.uri or "")
        try:
            found = objects.read(self._content(bucket, key, which), key)
        except Refused as error:
            raise InputRefused(str(error)) from error
        if len(found.texts) > self._max_inputs:
            raise InputRefused(f"The object has {len(found.texts)} texts: {self._max_inputs} are allowed.")
        return replace(request, texts=found.texts, many=found.many, uri=None)

    def _address(self, uri: str) -> tuple[str, str, dict[str, str]]:
        address = urlsplit(uri)
        bucket, key = address.netloc, unquote(address.path[1:])
        query = parse_qs(address.query, keep_blank_values=True)
        if address.scheme != "s3" or not key or address.fragment or query.keys() - {"versionId"}:
            raise InputRefused("'inputs.uri' is not s3://BUCKET/KEY or s3://BUCKET/KEY?versionId=VERSION.")
        # Compared as it will be asked for, so that no encoding leads out of the root.
        if self._root is None or not f"s3://{bucket}/{key}".startswith(self._root):
            raise InputRefused(f"'inputs.uri' is outside of what this server may fetch: {self._root or 'nothing'}.")
        return bucket, key, {"VersionId": query["versionId"][0]} if "versionId" in query else {}

    def _content(self, bucket: str, key: str, which: dict[str, str]) -> objects.Content:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.get_object(Bucket=bucket, Key=key, **which)
            if answer["ContentLength"] > self._max_bytes:
                answer["Body"].close()
                raise BodyTooLarge(f"The object has {answer['ContentLength']} bytes: {self._max_bytes} are allowed.")
            return objects.Content(answer["Body"].read(), answer.get("ContentType"))
        except ClientError as error:
            code = error.response["Error"].get("Code", "")
            if code in _GONE:
                raise InputRefused(f"The object that 'inputs.uri' names can't be read: {code}.") from error
            raise ModelFailed(f"The object that 'inputs.uri' names can't be read: {code}.") from error
        except BotoCoreError as error:
            raise ModelFailed("The object that 'inputs.uri' names can't be read now.") from error

    @functools.cached_property
    def _client(self) -> Any:
        import boto3  # a fifth of a second, and only a server that is given references pays it
        from botocore.config import Config

        retries: Any = {"total_max_attempts": 2, "mode": "standard"}
        return boto3.client("s3", config=Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S, retries=retries))
