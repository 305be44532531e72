"""How many messages of a subscription nobody has taken: Cloud Monitoring's figure, since Pub/Sub has none.

Source: Cloud Monitoring API v3, projects.timeSeries.list; Google Cloud metrics, `num_undelivered_messages`: sampled every 60 s, told up to
four minutes later.
"""

from datetime import UTC, datetime, timedelta

from pilotlight.cli.api_errors import ApiError
from pilotlight.cli.exits import CommandError
from pilotlight.cli.gcp.clients import Api

METRIC = "pubsub.googleapis.com/subscription/num_undelivered_messages"
_BACK = timedelta(minutes=10)


def undelivered(subscription: str, api: Api | None = None) -> int | None:
    """The newest figure of `projects/P/subscriptions/S`; None where there is none, or it can't be read."""
    _, project, _, name = subscription.split("/")
    now = datetime.now(UTC)
    asked = {
        "filter": f'metric.type="{METRIC}" AND resource.labels.subscription_id="{name}"',
        "interval.startTime": (now - _BACK).isoformat(),
        "interval.endTime": now.isoformat(),
    }
    try:
        series = (api or Api("monitoring", None)).ask("GET", f"/v3/projects/{project}/timeSeries", params=asked).get("timeSeries", [])
    except (ApiError, CommandError):
        return None
    # The newest point comes first.
    return int(series[0]["points"][0]["value"]["int64Value"]) if series and series[0].get("points") else None
