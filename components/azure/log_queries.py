"""What is asked of the lines that a stack's containers write, in Kusto's language: all of the environment's, whichever container's. Pure.

Lines are those of `handlers/functions/logs.py` and `metrics.py`. The table and its columns: Azure Monitor Logs reference,
ContainerAppConsoleLogs.
"""

from collections.abc import Sequence

TABLE = "ContainerAppConsoleLogs"
STEP = "5m"
AGE = "age_s"
# What functions write of faults of their own, and of what they can't do without; not of objects and answers, which have dead letters.
FAULTS = (
    *("consumer_fault", "function_fault", "object_fault", "pipeline_fault", "worker_fault"),
    *("dead_letter_failed", "message_stuck", "settings_refused"),
)
_LINE = "extend line = parse_json(Log)"
# `JobName` by the reference, `ContainerJobName` as portals have it. A workspace that never had a line of a job may not have the column, and
# a query that names it is refused there.
JOB = 'Job = column_ifexists("JobName", column_ifexists("ContainerJobName", ""))'


def cold_starts() -> str:
    """The slowest of each stage, in milliseconds."""
    return _query(
        'where Log has "ColdStart"',
        _LINE,
        'where tostring(line.event) == "metrics" and isnotnull(line.ColdStart)',
        f"summarize slowest = max(todouble(line.ColdStart)) by bin(TimeGenerated, {STEP}), stage = tostring(line.Stage)",
        "order by TimeGenerated asc",
    )


def requests() -> str:
    """Answers by container app."""
    return _answers(f"summarize answers = count() by bin(TimeGenerated, {STEP}), ContainerAppName", "order by TimeGenerated asc")


def failures() -> str:
    """Answers of the 500s by container app."""
    return _answers(
        "where tolong(line.status) >= 500",
        f"summarize answers = count() by bin(TimeGenerated, {STEP}), ContainerAppName",
        "order by TimeGenerated asc",
    )


def latencies() -> str:
    """Percentiles of milliseconds by container app, over the whole time."""
    shares = ", ".join(f"p{share} = percentile(todouble(line.ms), {share})" for share in (50, 95, 99))
    return _answers(
        f"summarize answers = count(), failed = countif(tolong(line.status) >= 500), {shares}, slowest = max(todouble(line.ms)) "
        "by ContainerAppName",
        "order by answers desc",
    )


def slow() -> str:
    """The milliseconds that one answer in twenty takes longer than, by container app."""
    return _answers(
        f"summarize p95 = percentile(todouble(line.ms), 95) by bin(TimeGenerated, {STEP}), ContainerAppName",
        "order by TimeGenerated asc",
    )


def counted(fields: Sequence[str]) -> str:
    """Sums of what functions count."""
    sums = ", ".join(f"{field} = sum(tolong(line.{field}))" for field in fields)
    return _query(
        'where Log has "metrics"',
        _LINE,
        'where tostring(line.event) == "metrics" and isnull(line.ColdStart)',
        f"summarize {sums} by bin(TimeGenerated, {STEP})",
        "order by TimeGenerated asc",
    )


def dead_letters() -> str:
    """By the function that gave them up."""
    return _query(
        'where Log has "dead_letter"',
        _LINE,
        'where tostring(line.event) == "dead_letter"',
        f"summarize letters = count() by bin(TimeGenerated, {STEP}), ContainerAppName",
        "order by TimeGenerated asc",
    )


def troubles() -> str:
    """The last warnings and errors."""
    return _query(
        _LINE,
        'where tostring(line.level) in ("WARNING", "ERROR")',
        f"project TimeGenerated, ContainerAppName, {JOB}, level = tostring(line.level), event = tostring(line.event), "
        "reason = tostring(line.reason), message = tostring(line.message), request_id = tostring(line.request_id)",
        "order by TimeGenerated desc",
        "take 100",
    )


def ages(app: str) -> str:
    """How many seconds messages had waited when an app took them, the oldest of a minute's."""
    return _query(
        f'where ContainerAppName == "{app}" and Log has "queue_age"',
        _LINE,
        'where tostring(line.event) == "queue_age"',
        f"project TimeGenerated, {AGE} = todouble(line.seconds)",
    )


def faults(app: str) -> str:
    """The faults of an app."""
    events = ", ".join(f'"{each}"' for each in FAULTS)
    return _query(
        f'where ContainerAppName == "{app}"',
        _LINE,
        f"where tostring(line.event) in ({events})",
        "project TimeGenerated, event = tostring(line.event), message = tostring(line.message), request_id = tostring(line.request_id)",
    )


def late(app: str, milliseconds: float) -> str:
    """The answers of an app that took longer, but for those that tell where a later one will be, for which it waits as long as it may;
    pings are no requests."""
    return _query(
        f'where ContainerAppName == "{app}" and Log has "request"',
        _LINE,
        f'where tostring(line.event) == "request" and todouble(line.ms) > {milliseconds:.0f} and tolong(line.status) != 202',
        "project TimeGenerated, ms = todouble(line.ms), request_id = tostring(line.request_id)",
    )


def _answers(*steps: str) -> str:
    return _query('where Log has "request"', _LINE, 'where tostring(line.event) == "request"', *steps)


def _query(*steps: str) -> str:
    return "\n| ".join((TABLE, *steps))
