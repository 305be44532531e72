"""Events as API Gateway sends them to a function, with what the functions read of them."""

import base64
import json
from typing import Any

REQUEST_ID = "JKJaXmPLvHcESHA="


def rest_event(body: object, *, encoded: bool = False, method: str = "POST", **headers: str) -> dict[str, Any]:
    """A REST API's proxy event (payload 1.0)."""
    text = body if isinstance(body, str) else json.dumps(body)
    sent = {"Content-Type": "application/json", "Host": "abc.execute-api.us-east-1.amazonaws.com"} | headers
    return {
        "resource": "/predict",
        "path": "/predict",
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": None,
        "requestContext": {"resourcePath": "/predict", "httpMethod": method, "requestId": REQUEST_ID, "stage": "live"},
        "body": base64.b64encode(text.encode()).decode() if encoded else text,
        "isBase64Encoded": encoded,
    }


def http_event(body: object, *, encoded: bool = False, method: str = "POST", **headers: str) -> dict[str, Any]:
    """An HTTP API's event (payload 2.0)."""
    text = body if isinstance(body, str) else json.dumps(body)
    return {
        "version": "2.0",
        "routeKey": "POST /predict",
        "rawPath": "/predict",
        "rawQueryString": "",
        "headers": {"content-type": "application/json"} | headers,
        "requestContext": {
            "http": {"method": method, "path": "/predict", "sourceIp": "192.0.2.1"},
            "requestId": REQUEST_ID,
            "stage": "$default",
        },
        "body": base64.b64encode(text.encode()).decode() if encoded else text,
        "isBase64Encoded": encoded,
    }


EVENTS = {"rest": rest_event, "http": http_event}
