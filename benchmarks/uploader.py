"""An uploader that takes as little of the machine as it can: addresses signed beforehand, kept connections, no library above HTTP."""

import http.client
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from benchmarks.record import BenchmarkError

TYPE = "text/plain; charset=utf-8"
CONNECTIONS = 8
_SIGNED_S = 3600


class Uploader:
    """`Uploader(variables, bucket, keys)` signs; `upload(text)` puts that text under every key."""

    def __init__(self, variables: Mapping[str, str], bucket: str, keys: Sequence[str]) -> None:
        """`variables` are those that `pilotlight env --local` prints."""
        s3 = boto3.client(
            "s3",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            region_name=variables["AWS_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        asked = ({"Bucket": bucket, "Key": key, "ContentType": TYPE} for key in keys)
        addresses = [urlsplit(s3.generate_presigned_url("put_object", Params=each, ExpiresIn=_SIGNED_S)) for each in asked]
        self._host = addresses[0].netloc
        self._targets = [f"{address.path}?{address.query}" for address in addresses]

    def upload(self, text: str) -> float:
        """Put the text everywhere, several at a time; returns the seconds of processor time that this process took for it."""
        parts = [self._targets[start::CONNECTIONS] for start in range(CONNECTIONS)]
        began = time.process_time()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(self._put, parts, [text.encode()] * CONNECTIONS))
        return time.process_time() - began

    def _put(self, targets: Sequence[str], body: bytes) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        for target in targets:
            connection.request("PUT", target, body, {"Content-Type": TYPE})
            response = connection.getresponse()
            said = response.read()
            if response.status != 200:
                raise BenchmarkError(f"An upload was answered {response.status}: {said[:300]!r}")
        connection.close()
