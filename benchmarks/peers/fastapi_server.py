"""The usual way to serve a transformers model: FastAPI and a pipeline. Variables: PORT, MODEL (a model folder)."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

state: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    state["pipeline"] = pipeline("feature-extraction", model=os.environ["MODEL"])
    yield


app = FastAPI(lifespan=lifespan)


class Body(BaseModel):
    inputs: str


@app.post("/predict")
def predict(body: Body) -> dict[str, Any]:
    return {"outputs": state["pipeline"](body.inputs)}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
