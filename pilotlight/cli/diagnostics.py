"""The engine's diagnostics in our own words: one line a problem, no SDK traceback, no gRPC noise. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What the engine says that tells a user of this command nothing: how it found its host, and that it failed (the exit status does).
_NOISE = (
    re.compile(r"^using pulumi-language-\w+ from \$PATH"),
    re.compile(r"^Program failed with an unhandled exception:$"),
    re.compile(r"^(update|preview|refresh|destroy|import) (failed|canceled|cancelled)$"),
    re.compile(r"^Attempting to deploy or update resources with \d+ pending operations"),
    re.compile(r"^(resource monitor|\^C received|SIGTERM received)", re.IGNORECASE),
)
_CHECK = re.compile(r"^\S+ resource '[^']*': property (?P<path>\S+) value \{.*\} has a problem: (?P<reason>.*)$", re.DOTALL)
_CHECK_WHOLE = re.compile(r"^\S+ resource '[^']*' has a problem: (?P<reason>.*)$", re.DOTALL)
_ANSI = re.compile(r"\x1b\[[0-9;]*m|<\{%[^%]*%\}>")
_RPC = re.compile(r"^(?:rpc error: code = \w+ desc = )+")
# That the program failed is news only when nobody has said why.
_AFTERMATH = re.compile(r"^an unhandled error occurred: ", re.IGNORECASE)
# What Pulumi's SDK reports, as advisory, in the name of a rule of any level that has met a value which nobody knows yet.
_UNDECIDED = re.compile(r"can't run policy '[^']*' from policy pack '[^']*' during preview: ")
_TRACEBACK = "Traceback (most recent call last)"
# Modules of the SDK whose exceptions only repeat what the engine has already said of a resource.
_SDK_ERRORS = ("grpc.RpcError", "grpc._channel.", "Exception: invoke of", "Exception: rpc error", "AioRpcError", "_InactiveRpcError")


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """One problem. `resource` is the resource's name, empty for the program itself; severity: info, warning or error."""

    severity: str
    resource: str
    message: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.message}" if self.resource else self.message


@dataclass(frozen=True, kw_only=True)
class Violation:
    """What a rule of a policy pack says of a resource (of the stack: an empty name). `level`: mandatory, advisory, or undecided where it
    could not run."""

    rule: str
    level: str
    resource: str
    message: str


@dataclass
class Diagnostics:
    """The diagnostics of a run, in order, without repetitions."""

    found: list[Diagnostic] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    _traceback: list[str] = field(default_factory=list)

    def take(self, event: Mapping[str, Any]) -> Diagnostic | None:
        """Note one diagnostic event; returns it when a user should see it."""
        severity = {"info#err": "info"}.get(event["severity"], event["severity"])
        raw = self._whole_traceback(event.get("message") or "", severity)
        message = _clean(raw)
        if severity == "debug" or event.get("ephemeral") or not message or any(pattern.search(message) for pattern in _NOISE):
            return None
        if self.errors and _AFTERMATH.match(message):
            return None
        resource = _name(event.get("urn") or "")
        if _TRACEBACK in message:
            message = _of_traceback(message)
            if not message or (self.errors and message.startswith(_SDK_ERRORS)):
                return None
            severity = "error"
        for pattern in (_CHECK, _CHECK_WHOLE):
            match = pattern.match(message)
            if match:
                path = match.groupdict().get("path")
                message = f"{path}: {match['reason']}" if path else match["reason"]
                break
        return self.add(Diagnostic(severity=severity, resource=resource, message=message))

    def _whole_traceback(self, text: str, severity: str) -> str:
        """The text; what a program writes to standard error comes line by line: its traceback is held back until its exception came."""
        if severity != "info":
            return text
        line = text.rstrip("\n")
        if self._traceback:
            if line.strip():
                self._traceback.append(line)
            if not line.strip() or line[0].isspace():
                return ""
            whole, self._traceback = "\n".join(self._traceback), []
            return whole
        if line.strip() == f"{_TRACEBACK}:":
            self._traceback.append(line)
            return ""
        return text

    def take_policy(self, event: Mapping[str, Any]) -> Diagnostic | None:
        """Note a policy violation; mandatory ones are errors, others warnings."""
        severity = "error" if event.get("enforcementLevel") == "mandatory" else "warning"
        # The policy's description, then what it reported, on a line each.
        rule, said = str(event.get("policyName")), _clean(event.get("message") or "").splitlines()
        *before, last = said or [""]
        message = ": ".join([*(part.rstrip(".") for part in before), last])
        resource = _name(event.get("resourceUrn") or "")
        level = "undecided" if _UNDECIDED.search(message) else str(event.get("enforcementLevel"))
        violation = Violation(rule=rule, level=level, resource=resource, message=_UNDECIDED.sub("", message))
        if violation not in self.violations:
            self.violations.append(violation)
        return self.add(Diagnostic(severity=severity, resource=resource, message=f"{rule.rstrip('.')}: {message}" if message else rule))

    def add(self, diagnostic: Diagnostic) -> Diagnostic | None:
        """Keep it unless the same was said before."""
        if diagnostic in self.found:
            return None
        self.found.append(diagnostic)
        return diagnostic

    @property
    def errors(self) -> list[Diagnostic]:
        return [diagnostic for diagnostic in self.found if diagnostic.severity == "error"]


def _name(urn: str) -> str:
    """The resource's name; none for the stack itself, whose diagnostics are the program's."""
    return "" if not urn or "::pulumi:pulumi:Stack::" in urn else urn.rsplit("::", 1)[-1]


def _clean(text: str) -> str:
    lines = [line.rstrip() for line in _ANSI.sub("", text).strip().splitlines()]
    return _RPC.sub("", "\n".join(lines)).removeprefix("error: ")


def _of_traceback(text: str) -> str:
    """The exception that ends a traceback, and where our own program raised it."""
    lines = text.splitlines()
    last = next((index for index in range(len(lines) - 1, -1, -1) if lines[index] and not lines[index][0].isspace()), None)
    if last is None:
        return ""
    raised = [line.strip() for line in lines if re.match(r'\s*File "', line) and "site-packages" not in line and "<frozen" not in line]
    place = re.match(r'File "(?P<file>[^"]+)", line (?P<line>\d+)', raised[-1]) if raised else None
    problem = "\n".join(lines[last:]).removeprefix("pulumi.errors.RunError: ").strip()
    return f"{problem} ({place['file']}, line {place['line']})" if place and "launcher" not in place["file"] else problem
