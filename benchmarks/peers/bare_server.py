"""No framework, no model server: what uvicorn, ASGI and the standard library's JSON leave of a request. Variables: PORT, WORK."""

import json
import os
from typing import Any

import uvicorn
import work

compute = work.loaded()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Nothing is checked: whoever asks is our own caller."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    answer = json.dumps({"outputs": compute([json.loads(body)["inputs"]])[0]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", access_log=False, lifespan="off")
