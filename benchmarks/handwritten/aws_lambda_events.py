"""The stack `aws-lambda-events` by hand: object -> queue -> function, which has the model -> table."""

from benchmarks.handwritten.model import model_function
from benchmarks.handwritten.pipeline import FUNCTION_S, delivered_to, ready, rights, variables

delivered_to(model_function("events", FUNCTION_S, rights, variables, ready), None)
