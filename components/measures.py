"""What functions count, by the fields of the lines that `handlers/functions/metrics.py` writes."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One field of the lines: a counter, or with `staged` the milliseconds of each stage."""

    role: str
    field: str
    what: str
    staged: bool = False


COLD_START = Measure(role="cold-start", field="ColdStart", what="Cold starts by stage", staged=True)
OBJECTS_COUNTED = (
    Measure(role="objects-processed", field="ObjectsProcessed", what="Objects with a result"),
    Measure(role="objects-failed", field="ObjectsFailed", what="Attempts at objects that failed"),
    Measure(role="objects-passed-over", field="ObjectsPassedOver", what="Objects that the filters passed over"),
)
HANDED_OVER = Measure(role="answers-handed-over", field="AnswersHandedOver", what="Requests to be answered later")
ANSWERS_MADE = (
    Measure(role="answers-done", field="AnswersDone", what="Answers that were made later"),
    Measure(role="answers-failed", field="AnswersFailed", what="Answers that could not be made"),
    Measure(role="answer-attempts-failed", field="AnswerAttemptsFailed", what="Attempts at answers that failed"),
)
PINGS_SENT = (
    Measure(role="pings", field="Pings", what="Pings of the warming plan"),
    Measure(role="pings-cold", field="PingsCold", what="Pings that met a cold instance"),
    Measure(role="pings-failed", field="PingsFailed", what="Pings without an answer"),
)
