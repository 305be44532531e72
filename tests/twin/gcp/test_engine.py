"""The real engine and Google Cloud's real SDK on a whole twin: a program of 31 types comes up, stays, changes and goes."""

from __future__ import annotations

from collections.abc import Callable

import pulumi
import pulumi_gcp as gcp
import pytest

from pilotlight.twin.gcp.assigned import project_number
from tests.support.size import only_all
from tests.twin.engine.project import EngineFailed, Project
from tests.twin.gcp.conftest import PROJECT, REGION, Twin
from tests.twin.gcp.program import Program, write_sources

STAYS = {"gcp:projects/service:Service", "gcp:projects/serviceIdentity:ServiceIdentity", "twin:gcp/agent:Agent"}


def outputs(project: Project, program: Callable[[], None]) -> dict[str, str]:
    return {name: output.value for name, output in project.stack(program).outputs().items()}


@only_all
def test_a_program_of_many_types_comes_up_stays_changes_and_goes(twin: Twin, project: Callable[..., Project]) -> None:
    source = write_sources(twin.program)
    one, first = project(), Program(source)
    planned = one.preview(first)
    assert set(planned) == {"create"}
    assert {token for token, _ in twin.held()} <= {"twin:gcp/agent:Agent"}
    assert one.up(first) == planned
    made = {token for token, _ in twin.held() if token.startswith("gcp:")}
    assert len(made) == 31
    told = outputs(one, first)
    assert told["number"] == project_number(PROJECT)
    assert told["key"].startswith("AIza")
    # The check value of CRC-32C.
    assert told["model"].endswith("/models/model.tar.gz#4waSgw==")
    assert one.up(first) == {"same": planned["create"]}

    ports = twin.ports()
    twin.restart()
    assert twin.ports() == ports
    assert one.up(first) == {"same": planned["create"]}
    assert one.refresh(first) == {"same": planned["create"]}

    changed = one.up(Program(source, timeout_s=30, text="second"))
    assert changed == {"same": planned["create"] - 2, "update": 2}
    after = outputs(one, first)
    assert after["uri"] == told["uri"]
    assert after["revision"] != told["revision"]
    assert {"same"} == set(one.refresh(first))

    gone = one.destroy(first)
    assert gone == {"delete": planned["create"]}
    assert {token for token, _ in twin.held()} <= {*STAYS, "twin:artifactregistry/image:Image"}


def test_every_mistake_fails_in_the_preview_with_what_is_allowed(twin: Twin, project: Callable[..., Project]) -> None:
    def wrong() -> None:
        gcp.cloudrunv2.Service(
            "service",
            location="europe-west99",
            ingress="PUBLIC",
            template={"containers": [{"image": "i", "resource": {"limits": {"cpu": "3"}}}], "vpc_access": {"egress": "NONE"}},
        )

    with pytest.raises(EngineFailed) as caught:
        project().preview(wrong)
    said = str(caught.value)
    assert "template.containers[0].resource: is not known: did you mean 'resources'?" in said
    assert "ingress: 'PUBLIC' is not allowed: use one of INGRESS_TRAFFIC_ALL" in said
    assert "template.vpcAccess.egress: 'NONE' is not allowed: use one of ALL_TRAFFIC, PRIVATE_RANGES_ONLY." in said
    assert "location: 'europe-west99' is no location that Google Cloud has: did you mean 'europe-west9'?" in said

    def missing() -> None:
        gcp.eventarc.Trigger("trigger", location=REGION, matching_criterias=[{"attribute": "type"}], destination={"cloud_run_service": {}})

    with pytest.raises(EngineFailed) as caught:
        project().preview(missing)
    said = str(caught.value)
    assert "matchingCriterias[0].value: is missing and required." in said
    assert "destination.cloudRunService.service: is missing and required." in said

    def unknown() -> None:
        gcp.spanner.Instance("instance", config="c", display_name="d")

    with pytest.raises(EngineFailed, match="does not know the resource type 'gcp:spanner/instance:Instance'"):
        project().preview(unknown)


def test_what_is_refused_at_creation_says_what_to_declare(twin: Twin, project: Callable[..., Project]) -> None:
    def program() -> None:
        gcp.pubsub.Topic("topic")

    one = project()
    with pytest.raises(EngineFailed) as caught:
        one.up(program)
    assert "SERVICE_DISABLED: pubsub.googleapis.com has not been used in project tried-project before" in str(caught.value)
    assert [token for token, _ in twin.held()] == []


@only_all
def test_the_project_comes_from_the_program_its_providers_and_the_shell(
    twin: Twin, project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    def program() -> None:
        other = gcp.Provider("other", project="other-project", region="us-central1", default_labels={"team": "search"})
        for name, provider in (("mine", None), ("theirs", other)):
            options = pulumi.ResourceOptions(provider=provider)
            on = gcp.projects.Service(f"{name}-pubsub", service="pubsub.googleapis.com", opts=options)
            topic = gcp.pubsub.Topic(name, name=name, opts=pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=[on])))
            pulumi.export(name, topic.id)
            pulumi.export(f"{name}-labels", topic.pulumi_labels)

    with pytest.raises(EngineFailed, match="project: is missing: set it with `pulumi config set gcp:project PROJECT`"):
        project("none", {}).preview(program)
    monkeypatch.setenv("GOOGLE_PROJECT", "shell-project")
    one = project("shell", {})
    one.up(program)
    told = outputs(one, program)
    assert told["mine"] == "projects/shell-project/topics/mine"
    assert told["theirs"] == "projects/other-project/topics/theirs"
    assert told["theirs-labels"] == {"goog-pulumi-provisioned": "true", "team": "search"}
