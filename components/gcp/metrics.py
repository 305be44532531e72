"""Metrics of what a function counts: log-based ones, which take their values from the lines of `handlers/functions/metrics.py`.

They are the metrics that CloudWatch reads out of the same lines, under a name of their service's own, which stands for the dimension
`Service`. Each is a distribution, because only those take a value out of a line, and several values may come in a minute.
"""

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from components.gcp.apis import LOGGING
from components.gcp.context import GcpContext
from components.gcp.measures import Counted
from components.measures import Measure

REVISION = "cloud_run_revision"
STAGE = "stage"
# From 1 ms to 40 minutes in steps of an eighth, which bounds what a percentile is wrong by.
SCALE, GROWTH, BUCKETS = 1.0, 1.125, 125


def counted(name: str, home: GcpContext, service: str, measures: Sequence[Measure], parent: pulumi.Resource) -> list[Counted]:
    """The metrics of one Cloud Run service's lines."""
    if not measures:
        return []
    ready = pulumi.ResourceOptions(parent=parent, depends_on=home.apis.enabled(name, parent, LOGGING))
    return [Counted(measure=one, name=_metric(name, home, service, one, ready).name) for one in measures]


def lines(home: GcpContext, service: str, measure: Measure) -> str:
    """The filter of the lines with a measure: those of a service of this region and stack alone."""
    return " AND ".join(
        (
            f'resource.type="{REVISION}"',
            f'resource.labels.location="{home.region}"',
            f'resource.labels.service_name="{service}"',
            'jsonPayload.event="metrics"',
            f'jsonPayload.Service="{home.stack}"',
            f"jsonPayload.{measure.field}:*",
        )
    )


def _metric(name: str, home: GcpContext, service: str, measure: Measure, opts: pulumi.ResourceOptions) -> gcp.logging.Metric:
    label = gcp.logging.MetricMetricDescriptorLabelArgs(key=STAGE, value_type="STRING")
    return gcp.logging.Metric(
        f"{name}-{measure.role}",
        name=f"{service}/{measure.field}",
        description=measure.what,
        filter=lines(home, service, measure),
        value_extractor=f"EXTRACT(jsonPayload.{measure.field})",
        label_extractors={STAGE: "EXTRACT(jsonPayload.Stage)"} if measure.staged else None,
        metric_descriptor=gcp.logging.MetricMetricDescriptorArgs(
            metric_kind="DELTA",
            value_type="DISTRIBUTION",
            unit="ms" if measure.staged else "1",
            display_name=measure.what,
            labels=[label] if measure.staged else None,
        ),
        # Required of a distribution (Cloud Logging API, LogMetric.bucketOptions).
        bucket_options=_buckets(),
        opts=opts,
    )


def _buckets() -> "gcp.logging.MetricBucketOptionsArgs":
    exponential = gcp.logging.MetricBucketOptionsExponentialBucketsArgs
    return gcp.logging.MetricBucketOptionsArgs(
        exponential_buckets=exponential(scale=SCALE, growth_factor=GROWTH, num_finite_buckets=BUCKETS)
    )
