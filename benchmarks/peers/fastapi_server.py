"""FastAPI as its documentation shows it: a function with a body that pydantic checks. Variables: PORT, WORK, MODEL."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
import work
from fastapi import FastAPI
from pydantic import BaseModel

state: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    state["compute"] = work.loaded()
    yield


app = FastAPI(lifespan=lifespan)


class Numbers(BaseModel):
    values: list[float]


class Body(BaseModel):
    inputs: str | Numbers


def answer(body: Body) -> dict[str, Any]:
    inputs = body.inputs if isinstance(body.inputs, str) else {"values": body.inputs.values}
    return {"outputs": state["compute"]([inputs])[0]}


async def at_once(body: Body) -> dict[str, Any]:
    return answer(body)


# What takes long belongs in a thread, and what takes no time on the event loop (FastAPI documentation, "Concurrency and async / await").
app.post("/predict")(answer if os.environ["WORK"] == "vectors" else at_once)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
