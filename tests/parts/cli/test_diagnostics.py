"""The engine's diagnostics in the command's words."""

import pytest

from pilotlight.cli.diagnostics import Diagnostics, Violation

STACK = "urn:pulumi:s::p::pulumi:pulumi:Stack::p-s"
ROLE = "urn:pulumi:s::p::aws:iam/role:Role::api-role"


def taken(message: str, *, severity: str = "error", urn: str = STACK) -> list[str]:
    diagnostics = Diagnostics()
    diagnostics.take({"severity": severity, "message": message, "urn": urn})
    return [str(found) for found in diagnostics.found]


@pytest.mark.parametrize(
    "noise",
    [
        "using pulumi-language-python from $PATH at /usr/local/bin/pulumi-language-python\n",
        "update failed\n",
        "preview canceled",
        "Resource monitor has terminated, shutting down",
        "Attempting to deploy or update resources with 1 pending operations from previous deployment.\n  * urn\n",
        "",
    ],
)
def test_noise_is_left_out(noise: str) -> None:
    assert taken(noise) == []


def test_a_debug_line_is_left_out() -> None:
    assert taken("registering resource", severity="debug") == []


def test_a_refused_value_is_not_repeated() -> None:
    message = "aws:iam/role:Role resource 'api-role': property assumeRolePolicy value {hunter2} has a problem: must be JSON"
    assert taken(message, urn=ROLE) == ["api-role: assumeRolePolicy: must be JSON"]


def test_a_value_over_several_lines_is_cut_too() -> None:
    message = "aws:iam/role:Role resource 'api-role': property policy value {{\n  a: 1\n}} has a problem: must be JSON"
    assert taken(message, urn=ROLE) == ["api-role: policy: must be JSON"]


def test_a_refusal_of_the_whole_resource_keeps_its_reason() -> None:
    assert taken("aws:iam/role:Role resource 'api-role' has a problem: unknown type", urn=ROLE) == ["api-role: unknown type"]


def test_rpc_prefixes_and_colours_are_cut() -> None:
    assert taken("\x1b[31mrpc error: code = Unknown desc = rpc error: code = Unknown desc = NoSuchRole\x1b[0m", urn=ROLE) == [
        "api-role: NoSuchRole"
    ]


def test_a_traceback_becomes_its_exception_and_the_programs_own_line() -> None:
    text = (
        "Program failed with an unhandled exception:\nTraceback (most recent call last):\n"
        '  File "/checkout/stacks/__main__.py", line 12, in <module>\n    run()\n'
        '  File "/venv/lib/python3.11/site-packages/pulumi/output.py", line 7, in run\n    raise\n'
        "KeyError: 'memoryMb'\n"
    )
    assert taken(text) == ["KeyError: 'memoryMb' (/checkout/stacks/__main__.py, line 12)"]


def test_a_traceback_that_comes_line_by_line_is_one_problem() -> None:
    diagnostics = Diagnostics()
    lines = ["error: Program failed with an unhandled exception:", "Traceback (most recent call last):"]
    lines += [
        '  File "/pack/__main__.py", line 1, in <module>',
        "    import nothing_here",
        "ModuleNotFoundError: No module named 'nothing_here'",
        "bye",
    ]
    for line in lines:
        diagnostics.take({"severity": "info#err", "message": f"{line}\n\n"})
    assert [(found.severity, str(found)) for found in diagnostics.found] == [
        ("error", "ModuleNotFoundError: No module named 'nothing_here' (/pack/__main__.py, line 1)"),
        ("info", "bye"),
    ]


def test_an_sdk_traceback_after_the_engines_own_error_is_left_out() -> None:
    diagnostics = Diagnostics()
    diagnostics.take({"severity": "error", "message": "NoSuchRole", "urn": ROLE})
    text = (
        'Traceback (most recent call last):\n  File "/venv/site-packages/grpc/x.py", line 1, in f\ngrpc._channel._InactiveRpcError: gone\n'
    )
    diagnostics.take({"severity": "error", "message": text, "urn": STACK})
    assert [str(found) for found in diagnostics.found] == ["api-role: NoSuchRole"]


def test_that_the_program_failed_is_told_only_when_nobody_said_why() -> None:
    aftermath = "an unhandled error occurred: the program ended with exit status 1"
    assert taken(aftermath) == [aftermath]
    diagnostics = Diagnostics()
    diagnostics.take({"severity": "error", "message": "memoryMb: 3000", "urn": STACK})
    diagnostics.take({"severity": "error", "message": aftermath})
    assert [str(found) for found in diagnostics.found] == ["memoryMb: 3000"]


def test_the_same_diagnostic_is_kept_once() -> None:
    diagnostics = Diagnostics()
    assert diagnostics.take({"severity": "warning", "message": "old", "urn": ROLE}) is not None
    assert diagnostics.take({"severity": "warning", "message": "old", "urn": ROLE}) is None


def test_a_mandatory_policy_is_an_error_and_an_advisory_one_a_warning() -> None:
    diagnostics = Diagnostics()
    for level in ("mandatory", "advisory"):
        diagnostics.take_policy(
            {"enforcementLevel": level, "policyName": "no-wildcards", "message": "Name them.\n`*` is too wide", "resourceUrn": ROLE}
        )
    assert [(found.severity, str(found)) for found in diagnostics.found] == [
        ("error", "api-role: no-wildcards: Name them: `*` is too wide"),
        ("warning", "api-role: no-wildcards: Name them: `*` is too wide"),
    ]


def test_a_rule_that_could_not_run_is_undecided_whatever_its_level() -> None:
    diagnostics = Diagnostics()
    said = "Name them.\ncan't run policy 'no-wildcards' from policy pack 'mine@v0.0.1' during preview: api-role: policy is not known"
    for level, message in (("mandatory", "`*` is too wide"), ("advisory", said)):
        diagnostics.take_policy({"enforcementLevel": level, "policyName": "no-wildcards", "message": message, "resourceUrn": ROLE})
    assert diagnostics.violations == [
        Violation(rule="no-wildcards", level="mandatory", resource="api-role", message="`*` is too wide"),
        Violation(rule="no-wildcards", level="undecided", resource="api-role", message="Name them: api-role: policy is not known"),
    ]
