"""A Dockerfile's stages, resolved without building them."""

from pathlib import Path

import pytest

from pilotlight.twin.dockerfile import DockerfileError, expand, resolve, stages

MULTI = """\
# syntax=docker/dockerfile:1
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
ENV A=1 \\
    # a comment within
    B="two words" C='$A' D=${A:-x}${Z:-y}${A:+z}
RUN <<EOF
COPY nothing
EOF
FROM $BASE AS runtime
ARG PORT=80
COPY --from=build --chown=1:1 /opt/venv /opt/venv
WORKDIR /app
WORKDIR sub
COPY --chmod=0755 a "b c" ./
ENV PATH=/opt/venv/bin:$PATH P=$PORT
LABEL x.y="z" q=${P}
ENTRYPOINT ["python", "-m", "x"]
CMD ["serve"]
USER 10001:10001
FROM runtime AS other
CMD echo hi
"""


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "Dockerfile"
        path.write_text(text)
        return path

    return write


def test_a_stage_knows_its_own_and_its_parents_configuration(written):
    stage = resolve(written(MULTI), "runtime", {"PORT": "90"})
    assert stage.base == "python:3.11-slim"
    assert stage.env["PATH"].startswith("/opt/venv/bin:/usr/local/bin:")
    assert stage.env["P"] == "90"
    assert stage.labels == {"x.y": "z", "q": "90"}
    assert (stage.workdir, stage.user) == ("/app/sub", "10001:10001")
    assert (stage.entrypoint, stage.cmd) == (("python", "-m", "x"), ("serve",))
    venv, sources = stage.copies
    assert (venv.stage, venv.target) == ("build", "/opt/venv")
    assert (sources.sources, sources.target, sources.mode, sources.folder) == (("a", "b c"), "/app/sub", 0o755, True)
    other = resolve(written(MULTI), None)
    assert other.name == "other"
    assert other.entrypoint == stage.entrypoint
    assert other.cmd == ("/bin/sh", "-c", "echo hi")


def test_quotes_and_defaults_are_substituted_as_docker_does(written):
    assert resolve(written(MULTI), "build").env["B"] == "two words"
    env = resolve(written(MULTI), "0").env
    assert (env["C"], env["D"]) == ("$A", "xy")  # within one ENV the values are those from before it


def test_a_build_argument_replaces_the_base(written):
    assert stages(written(MULTI), {"BASE": "other@sha256:1"})[0].base == "other@sha256:1"


def test_an_entrypoint_takes_back_the_inherited_command(written):
    path = written('FROM a AS x\nCMD ["c"]\nFROM x\nENTRYPOINT ["e"]\n')
    assert resolve(path, None).cmd == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A-${A}", "1-1"),
        ("${B:-two}", "two"),
        ("${E:-empty}", "empty"),
        ("${E-kept}", ""),
        ("${A:+set}", "set"),
        ("${B:+set}", ""),
        (r"\$A", "$A"),
        ("${B:-$A}", "1"),
    ],
)
def test_variables_are_expanded(text, expected):
    assert expand(text, {"A": "1", "E": ""}) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM a\nFETCH x\n", "Dockerfile:2: unknown instruction FETCH"),
        ("FROM a\nADD http://x /y\n", "Dockerfile:2: ADD"),
        ("FROM a\nCOPY x\n", "Dockerfile:2: COPY needs"),
        ("FROM a\nCOPY --chmod=u+x x y\n", "octal"),
        ("FROM a\nENTRYPOINT ['x']\n", "no JSON list"),
        ("FROM a\nENTRYPOINT [1]\n", "list of texts"),
        ("FROM a\nENV A=1 B\n", "NAME=value"),
        ("FROM a b c d\n", "write FROM"),
        ("ENV A=1\n", "before the first FROM"),
        ("# nothing\n", "there is no FROM"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_line(written, text, said):
    with pytest.raises(DockerfileError, match=said.replace("(", r"\(")):
        resolve(written(text), None)


def test_an_unknown_target_is_refused_with_the_known_ones(written):
    with pytest.raises(DockerfileError, match="no target 'gpu'; it has build, runtime, other"):
        resolve(written(MULTI), "gpu")
