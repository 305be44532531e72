"""A small program with one of nearly every type of Google Cloud that stacks use, composed of outputs as programs do."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pulumi
import pulumi_docker_build as docker_build
import pulumi_gcp as gcp

from tests.twin.gcp.conftest import PROJECT, REGION

APIS = (
    "apigateway",
    "apikeys",
    "artifactregistry",
    "billingbudgets",
    "cloudresourcemanager",
    "cloudscheduler",
    "eventarc",
    "firestore",
    "iam",
    "pubsub",
    "run",
)
SERVER = """import http.server, os


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    do_POST = do_GET


http.server.HTTPServer(("", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
"""


def write_sources(folder: Path) -> Path:
    """The image's context, with the model; the folder of both."""
    app = folder / "source" / "app"
    app.mkdir(parents=True)
    (app / "main.py").write_text(SERVER)
    (app.parent / "Dockerfile").write_text('FROM python:3.11-slim AS cpu\nCOPY app /app\nENTRYPOINT ["python", "/app/main.py"]\n')
    (app.parent / "model.tar.gz").write_bytes(b"123456789")
    return app.parent


def openapi(address: str) -> str:
    operation = {"operationId": "predict", "x-google-backend": {"address": address}, "responses": {"200": {"description": "an answer"}}}
    document = {"swagger": "2.0", "info": {"title": "tried", "version": "1"}, "paths": {"/predict": {"post": operation}}}
    return base64.b64encode(json.dumps(document).encode()).decode()


class Program:
    """Calling it declares everything. `timeout_s` and `text` are what the tests change."""

    def __init__(self, source: Path, timeout_s: int = 60, text: str = "first") -> None:
        self.source, self.timeout_s, self.text = source, timeout_s, text

    def __call__(self) -> None:
        self.project = gcp.organizations.get_project_output()
        self.on = [gcp.projects.Service(name, service=f"{name}.googleapis.com", disable_on_destroy=False) for name in APIS]
        self.after = pulumi.ResourceOptions(depends_on=self.on)
        self.account = gcp.serviceaccount.Account("caller", display_name="tried", opts=self.after)
        self.service = self._service(self._image())
        bucket = self._bucket()
        self._events(bucket)
        self._gateway()
        self._watch()
        pulumi.export("uri", self.service.uri)
        pulumi.export("revision", self.service.latest_ready_revision)
        pulumi.export("number", self.project.number)

    def _image(self) -> pulumi.Output[str]:
        repository = gcp.artifactregistry.Repository("images", repository_id="images", format="DOCKER", opts=self.after)
        gcp.artifactregistry.RepositoryIamMember(
            "images-read", repository=repository.name, role="roles/artifactregistry.reader", member=self.account.member
        )
        host = f"{REGION}-docker.pkg.dev"
        token = gcp.organizations.get_client_config_output().access_token
        image = docker_build.Image(
            "server",
            tags=[pulumi.Output.format("{0}/server:one", repository.registry_uri)],
            exports=[{"registry": {"oci_media_types": True}}],
            push=False,
            context={"location": str(self.source)},
            dockerfile={"location": str(self.source / "Dockerfile")},
            target="cpu",
            registries=[{"address": host, "username": "oauth2accesstoken", "password": pulumi.Output.secret(token)}],
        )
        return pulumi.Output.format("{0}/server@{1}", repository.registry_uri, image.digest)

    def _service(self, image: pulumi.Output[str]) -> gcp.cloudrunv2.Service:
        service = gcp.cloudrunv2.Service(
            "server",
            location=REGION,
            deletion_protection=False,
            template={
                "service_account": self.account.email,
                "timeout": f"{self.timeout_s}s",
                "max_instance_request_concurrency": 2,
                "scaling": {"max_instance_count": 2},
                "containers": [{"image": image, "resources": {"limits": {"cpu": "1", "memory": "512Mi"}}}],
            },
        )
        gcp.cloudrunv2.ServiceIamMember("invokes", name=service.name, location=REGION, role="roles/run.invoker", member=self.account.member)
        return service

    def _bucket(self) -> gcp.storage.Bucket:
        bucket = gcp.storage.Bucket(
            "objects", location=REGION, uniform_bucket_level_access=True, versioning={"enabled": True}, force_destroy=True
        )
        model = gcp.storage.BucketObject(
            "model", bucket=bucket.name, name="models/model.tar.gz", source=pulumi.FileAsset(str(self.source / "model.tar.gz"))
        )
        gcp.storage.BucketIAMMember("reads", bucket=bucket.name, role="roles/storage.objectViewer", member=self.account.member)
        pulumi.export("model", pulumi.Output.format("{0}/{1}#{2}", bucket.url, model.output_name, model.crc32c))
        return bucket

    def _events(self, bucket: gcp.storage.Bucket) -> None:
        dead = gcp.pubsub.Topic("dead", labels={"part": "events"}, opts=self.after)
        gcp.pubsub.TopicIAMMember("sends", topic=dead.name, role="roles/pubsub.publisher", member=self.account.member)
        held = gcp.pubsub.Subscription("held", topic=dead.id, ack_deadline_seconds=60, expiration_policy={"ttl": ""})
        gcp.pubsub.SubscriptionIAMMember("takes", subscription=held.name, role="roles/pubsub.subscriber", member=self.account.member)
        database = gcp.firestore.Database("results", location_id=REGION, type="FIRESTORE_NATIVE", deletion_policy="DELETE", opts=self.after)
        gcp.firestore.Index(
            "latest",
            database=database.name,
            collection="results",
            fields=[{"field_path": "object", "order": "ASCENDING"}, {"field_path": "at", "order": "DESCENDING"}],
        )
        gcp.firestore.Field("expires", database=database.name, collection="results", field="expires", ttl_config={})
        agent = gcp.projects.ServiceIdentity("eventarc-agent", service="eventarc.googleapis.com", opts=self.after)
        storage = gcp.storage.get_project_service_account_output()
        grants = [
            gcp.projects.IAMMember(name, project=self.project.project_id, role=role, member=member, opts=self.after)
            for name, role, member in (
                ("publishes", "roles/pubsub.publisher", storage.member),
                ("receives", "roles/eventarc.eventReceiver", self.account.member),
                ("works", "roles/eventarc.serviceAgent", agent.member),
            )
        ]
        gcp.eventarc.Trigger(
            "finalized",
            location=REGION,
            service_account=self.account.email,
            matching_criterias=[
                {"attribute": "type", "value": "google.cloud.storage.object.v1.finalized"},
                {"attribute": "bucket", "value": bucket.name},
            ],
            destination={"cloud_run_service": {"service": self.service.name, "region": REGION}},
            opts=pulumi.ResourceOptions(depends_on=[agent, *grants]),
        )

    def _gateway(self) -> None:
        api = gcp.apigateway.Api("api", api_id="tried", opts=self.after)
        config = gcp.apigateway.ApiConfig(
            "config",
            api=api.api_id,
            display_name=self.text,
            openapi_documents=[{"document": {"path": "openapi.json", "contents": self.service.uri.apply(openapi)}}],
            gateway_config={"backend_config": {"google_service_account": self.account.email}},
        )
        gcp.apigateway.Gateway("gateway", gateway_id="tried", api_config=config.id)
        managed = gcp.projects.Service("managed", service=api.managed_service, disable_on_destroy=False)
        # Keys are of an API that asks whose quota a call counts against, so that a provider of the program's own makes them.
        own = gcp.Provider("own", project=PROJECT, region=REGION, user_project_override=True, billing_project=PROJECT)
        key = gcp.projects.ApiKey(
            "key",
            name="tried",
            restrictions={"api_targets": [{"service": managed.service}]},
            opts=pulumi.ResourceOptions(provider=own),
        )
        pulumi.export("key", key.key_string)

    def _watch(self) -> None:
        role = gcp.projects.IAMCustomRole(
            "floor", role_id="triedFloor", title="Sets the floor", permissions=["run.services.get", "run.services.update"], opts=self.after
        )
        gcp.projects.IAMMember("floor", project=self.project.project_id, role=role.name, member=self.account.member)
        gcp.serviceaccount.IAMMember(
            "acts", service_account_id=self.account.name, role="roles/iam.serviceAccountUser", member=self.account.member
        )
        gcp.cloudscheduler.Job(
            "ping",
            schedule="*/10 8-18 * * mon-fri",
            time_zone="Europe/Berlin",
            http_target={
                "uri": pulumi.Output.concat(self.service.uri, "/ping"),
                "http_method": "POST",
                "oidc_token": {"service_account_email": self.account.email, "audience": self.service.uri},
            },
            opts=self.after,
        )
        metric = gcp.logging.Metric(
            "errors", filter=pulumi.Output.format('resource.labels.service_name="{0}" severity>=ERROR', self.service.name)
        )
        channel = gcp.monitoring.NotificationChannel("mail", type="email", labels={"email_address": "ops@example.com"})
        gcp.monitoring.AlertPolicy(
            "errors",
            display_name="errors",
            combiner="OR",
            notification_channels=[channel.name],
            conditions=[
                {
                    "display_name": "any",
                    "condition_threshold": {
                        "filter": pulumi.Output.format(
                            'resource.type = "cloud_run_revision" AND metric.type = "logging.googleapis.com/user/{0}"', metric.name
                        ),
                        "comparison": "COMPARISON_GT",
                        "duration": "0s",
                        "aggregations": [{"alignment_period": "60s", "per_series_aligner": "ALIGN_DELTA"}],
                    },
                }
            ],
        )
        gcp.monitoring.Dashboard("board", dashboard_json=json.dumps({"displayName": "tried", "gridLayout": {"widgets": []}}))
        gcp.billing.Budget(
            "month",
            billing_account="012345-6789AB-CDEF01",
            amount={"specified_amount": {"currency_code": "USD", "units": "100"}},
            threshold_rules=[{"threshold_percent": 1.0}],
            opts=self.after,
        )
