"""The configuration of one Dockerfile stage, found without building it: what a process started from the image needs to know.

`dockerfile-parse` splits the file into instructions; scopes, inheritance between stages and substitution are resolved here,
because it looks at the last stage alone.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped]

from pilotlight.twin.dockerfile_text import DockerfileError, command, expand, pairs, words_of

__all__ = ["Copy", "DockerfileError", "Stage", "expand", "resolve", "stages"]

BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
# Dockerfile reference, frontend 1.x: every instruction; those that only a build or a registry needs have no effect here.
EFFECTLESS = frozenset({"RUN", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "VOLUME", "SHELL", "ONBUILD", "MAINTAINER"})
HEREDOC = re.compile(r"^\s*(?:RUN|COPY)\b.*<<-?(['\"]?)(\w+)\1", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One COPY: absolute `target`, `sources` as written, `stage` for --from (None: the context)."""

    sources: tuple[str, ...]
    target: str
    stage: str | None
    folder: bool
    mode: int | None
    line: int


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage with everything that it inherits from the stages and the base image below it."""

    name: str
    base: str
    env: Mapping[str, str] = field(default_factory=lambda: {"PATH": BASE_PATH})
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str | None = None
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()


def _copy(stage: Stage, text: str, scope: Mapping[str, str], where: str, line: int) -> Copy:
    flags: dict[str, str] = {}
    while match := re.match(r"--([a-z]+)(?:=(\S+))?\s+", text):
        flags[match[1]] = expand(match[2] or "true", scope)
        text = text[match.end() :]
    words = [expand(word, scope) for word in command(text, where)] if text.lstrip().startswith("[") else words_of(text, scope)
    if len(words) < 2 or any(word.startswith("<<") for word in words):
        raise DockerfileError(f"{where}: COPY needs one source or more and a target; here-documents are not understood by the twin.")
    target = posixpath.normpath(posixpath.join(stage.workdir, words[-1]))
    mode = flags.get("chmod")
    if mode is not None and not re.fullmatch(r"[0-7]{3,4}", mode):
        raise DockerfileError(f"{where}: --chmod={mode} is not understood; write it in octal, as 0755.")
    return Copy(
        sources=tuple(words[:-1]),
        target=target,
        stage=flags.get("from"),
        folder=words[-1].endswith("/") or words[-1] == "." or len(words) > 2,
        mode=int(mode, 8) if mode else None,
        line=line,
    )


def _arg(stage: Stage, text: str, build_args: Mapping[str, str], top: Mapping[str, str]) -> Stage:
    args = dict(stage.args)
    for word in words_of(text, {**stage.args, **stage.env}):
        name, has_default, default = word.partition("=")
        value = build_args.get(name, default if has_default else top.get(name))
        if value is not None:
            args[name] = value
    return replace(stage, args=args)


def _apply(stage: Stage, keyword: str, text: str, where: str, line: int) -> Stage:
    scope = {**stage.args, **stage.env}
    match keyword:
        case "ENV":
            return replace(stage, env={**stage.env, **pairs(words_of(text, scope), expand(text, scope), where)})
        case "LABEL":
            return replace(stage, labels={**stage.labels, **pairs(words_of(text, scope), expand(text, scope), where)})
        case "WORKDIR":
            return replace(stage, workdir=posixpath.normpath(posixpath.join(stage.workdir, expand(text, scope))))
        case "USER":
            return replace(stage, user=expand(text, scope))
        case "COPY":
            return replace(stage, copies=(*stage.copies, _copy(stage, text, scope, where, line)))
        case "ENTRYPOINT":
            return replace(stage, entrypoint=command(text, where), cmd=())
        case "CMD":
            return replace(stage, cmd=command(text, where))
        case "ADD":
            raise DockerfileError(f"{where}: ADD may fetch and unpack, which the twin does not; use COPY.")
        case _ if keyword in EFFECTLESS:
            return stage
        case _:
            raise DockerfileError(f"{where}: unknown instruction {keyword}.")


def _instructions(path: Path) -> list[dict[str, Any]]:
    lines, end = [], None
    for line in path.read_text(encoding="utf-8").splitlines():
        if end is not None:  # inside a here-document, which dockerfile-parse takes for instructions
            lines.append("#")
            end = None if line.strip() == end else end
            continue
        lines.append(line)
        match = HEREDOC.match(line)
        end = match[2] if match else None
    parser = DockerfileParser(fileobj=io.BytesIO("\n".join(lines).encode()))
    return [entry for entry in parser.structure if entry["instruction"] != "COMMENT"]


def stages(path: Path, build_args: Mapping[str, str] | None = None) -> list[Stage]:
    """Every stage of the Dockerfile in order. Raises DockerfileError with file and line."""
    given, top, done = dict(build_args or {}), dict[str, str](), list[Stage]()
    for entry in _instructions(path):
        keyword, text, line = entry["instruction"].upper(), entry["value"], entry["startline"] + 1
        where = f"{path.name}:{line}"
        if keyword == "FROM":
            words = [word for word in words_of(text, top) if not word.startswith("--")]
            if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
                raise DockerfileError(f"{where}: write FROM image or FROM image AS name, got {text!r}.")
            name = words[2].lower() if len(words) == 3 else str(len(done))
            parent = next((stage for stage in done if stage.name == words[0].lower()), None)
            done.append(replace(parent, name=name, args={}) if parent else Stage(name=name, base=words[0]))
        elif keyword == "ARG":
            if done:
                done[-1] = _arg(done[-1], text, given, top)
            else:
                top = dict(_arg(Stage(name="", base="", args=top, env={}), text, given, {}).args)
        elif not done:
            raise DockerfileError(f"{where}: {keyword} comes before the first FROM.")
        else:
            done[-1] = _apply(done[-1], keyword, text, where, line)
    if not done:
        raise DockerfileError(f"{path.name}: there is no FROM.")
    return done


def resolve(path: Path, target: str | None, build_args: Mapping[str, str] | None = None) -> Stage:
    """The stage that a build with `target` would ship (the last one without). Raises DockerfileError."""
    found = stages(path, build_args)
    if not target:
        return found[-1]
    for index, stage in enumerate(found):
        if target.lower() == stage.name or target == str(index):
            return stage
    names = ", ".join(stage.name for stage in found)
    raise DockerfileError(f"{path.name}: there is no target {target!r}; it has {names}.")
