"""What answers of a storage account are made of."""

import itertools

Answer = tuple[int, bytes, dict[str, str]]
_numbers = itertools.count(0x8DE0000)


def error(status: int, code: str) -> Answer:
    """A refusal of blobs or queues ("Status and error codes")."""
    document = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>Told so.\nRequestId:1\nTime:now</Message></Error>'
    return status, document.encode(), {"Content-Type": "application/xml", "x-ms-error-code": code}


def etag() -> str:
    """Another one each time."""
    return f'"0x{next(_numbers):X}"'
