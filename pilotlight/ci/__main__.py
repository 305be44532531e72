"""What workflows call: `python3 -m pilotlight.ci COMMAND`. `stacks`, `comment` and `summary` need nothing but Python.

stacks       which stacks a change concerns, as a matrix            (variable STACKS; --base COMMIT)
summary      plans as Markdown, into the job's summary              (files of `pilotlight preview STACK --json`)
comment      the same as a comment of a pull request, edited in place
environment  the stack file of a pull request's environment
end, sweep   destroy one, or all whose time is over
signs-in     whether the job's environment has what signs in to a cloud   (variable VARIABLES, as JSON)
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pilotlight.ci.comment import mark, markdown, missing, unconcerned
from pilotlight.ci.github import GitHub, GitHubError
from pilotlight.ci.selection import CLOUDS, Chosen, SelectionError, affected, changed_since, chosen, cloud_of, matrix, stacks_at

# Whom a job is in a cloud, by the variables of its environment.
SIGNS_IN = {"aws": "AWS_ROLE", "gcp": "GOOGLE_ACCOUNT", "azure": "AZURE_CLIENT_ID"}
ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 done, 1 something failed or is wrong; the reason is on standard error."""
    options = _parser().parse_args(arguments)
    try:
        return {
            "stacks": _stacks,
            "summary": _summary,
            "comment": _comment,
            "environment": _environment,
            "end": _end,
            "signs-in": _signs_in,
            "sweep": _sweep,
        }[options.command](options)
    except (SelectionError, GitHubError) as error:
        return _failed(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m pilotlight.ci", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: this one)")
    commands = parser.add_subparsers(dest="command", required=True)
    stacks = commands.add_parser("stacks")
    stacks.add_argument("--wish", default=os.environ.get("STACKS", ""), help="names of stacks (default: the variable STACKS)")
    since = stacks.add_mutually_exclusive_group()
    since.add_argument("--base", help="the commit to compare with; without it every stack is concerned")
    since.add_argument("--since-run", metavar="WORKFLOW.yml", help="compare with the commit of its last run here that went well")
    of_run = "those that were there at the commit of its last run here that went well, which is told"
    since.add_argument("--of-run", metavar="WORKFLOW.yml", help=of_run)
    for name in ("summary", "comment"):
        told = commands.add_parser(name)
        told.add_argument("plans", type=Path, nargs="+", help="files, or folders of them")
        told.add_argument("--commit", default="", help="what the plan is of")
        told.add_argument("--link", default="", help="the run's address")
        if name == "comment":
            told.add_argument("--number", type=int, required=True, help="the pull request")
            matrix_of = "the stacks that have a comment, as `stacks` prints them (default: the variable MATRIX, or those of the plans)"
            told.add_argument("--matrix", default=os.environ.get("MATRIX", ""), help=matrix_of)
            all_of = "all stacks, of which those without a plan may have a comment of an earlier commit (default: the variable STACKS)"
            told.add_argument("--wish", default=os.environ.get("STACKS", ""), help=all_of)
    made = commands.add_parser("environment")
    made.add_argument("--number", type=int, required=True, help="the pull request")
    made.add_argument("--stack", required=True, help="the stack whose file is copied")
    made.add_argument("--create", action="store_true", help="make the stack in the backend too, where it is not yet")
    made.add_argument("--secrets-provider", default="", help="by what its secrets are encrypted: awskms://…, gcpkms://…, azurekeyvault://…")
    made.add_argument("--google-account", default="", help="the service account that deploys it: it goes into that one's project")
    made.add_argument("--subscription", default="", help="the Azure subscription that it goes to")
    commands.add_parser("end").add_argument("name", help="pr-NUMBER-STACK")
    signs_in = commands.add_parser("signs-in")
    signs_in.add_argument("--cloud", required=True, choices=CLOUDS)
    signs_in.add_argument(
        "--wish", default=os.environ.get("STACKS", ""), help="stacks that need their cloud (default: the variable STACKS)"
    )
    swept = commands.add_parser("sweep")
    swept.add_argument("--cloud", required=True, choices=CLOUDS)
    swept.add_argument("--hours", type=float, default=72, help="the lease of an environment, from its last `up` (default: 72)")
    return parser


def _stacks(options: argparse.Namespace) -> int:
    wanted = chosen(options.wish, options.root)
    if not wanted:
        _say("No stacks are named: set the repository's variable STACKS to the names of those that are yours, apart by spaces.")
    base = options.base
    if options.since_run:
        base = _api().last_success(options.since_run, _variable("GITHUB_REF_NAME"))
    changed = changed_since(base, options.root) if base else None
    if changed is None and (base or options.since_run):
        _say(f"{base or 'No run that went well'} is no commit at hand: every stack counts as changed.")
    if options.of_run:
        wanted = _of_run(options, wanted)
    found = affected(wanted, changed)
    _output("matrix", json.dumps({"include": matrix(found)}))
    _output("clouds", json.dumps(sorted({each.cloud for each in found})))
    _output("any", "true" if found else "false")
    _say(f"Of {', '.join(each.stack for each in wanted) or 'none'} concerned: {', '.join(each.stack for each in found) or 'none'}.")
    return 0


def _of_run(options: argparse.Namespace, wanted: list[Chosen]) -> list[Chosen]:
    """Those of the stacks that the workflow's last run here that went well had, and its commit as an output: what is merged since waits for
    its approval, or was refused. All of them, and no commit, where no run went well or its commit is gone: what is checked out stands for
    it then."""
    commit = _api().last_success(options.of_run, _variable("GITHUB_REF_NAME"))
    there = stacks_at(commit, options.root) if commit else None
    _output("commit", commit if commit and there is not None else "")
    if there is None:
        _say(f"{commit or 'No run that went well'} is no commit at hand: the stacks are compared with what is checked out.")
        return wanted
    if later := [each.stack for each in wanted if each.stack not in there]:
        _say(f"Not there at {commit}, the last that {options.of_run} has deployed: {', '.join(later)}.")
    return [each for each in wanted if each.stack in there]


def _summary(options: argparse.Namespace) -> int:
    plans, problems = _plans(options.plans)
    text = "\n".join(markdown(plan, commit=options.commit, link=options.link) for plan in plans)
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if place:
        with Path(place).open("a") as summary:
            summary.write(text)
    else:
        sys.stdout.write(text)
    return _failed("\n".join(problems)) if problems else 0


def _comment(options: argparse.Namespace) -> int:
    api, concerned = _api(), _stacks_of(options.matrix)
    # Where the change concerns none there is no plan to look for.
    plans, problems = ([], []) if options.matrix and not concerned else _plans(options.plans)
    for plan in plans:
        body = markdown(plan, commit=options.commit, link=options.link)
        _say(api.upsert_comment(options.number, mark(str(plan["stack"])), body))
    planned = {plan["stack"] for plan in plans}
    for stack in sorted(concerned - planned):
        _say(api.upsert_comment(options.number, mark(stack), missing(stack, commit=options.commit, link=options.link)))
    # What is concerned is known by the matrix alone.
    for stack in sorted({*options.wish.split()} - concerned - planned if options.matrix else ()):
        edited = api.edit_comment(options.number, mark(stack), unconcerned(stack, commit=options.commit, link=options.link))
        if edited:
            _say(edited)
    return _failed("\n".join(problems)) if problems else 0


def _environment(options: argparse.Namespace) -> int:
    from pilotlight.ci.environment import Backend, EnvironmentProblem, place_of, write
    from pilotlight.cli.session import find_tools

    try:
        name = write(options.root, options.number, options.stack, place_of(options.google_account, options.subscription))
        if options.create:
            Backend(root=options.root, tools=find_tools()).create(name, options.secrets_provider)
    except EnvironmentProblem as error:
        return _failed(str(error))
    _output("stack", name)
    return 0


def _end(options: argparse.Namespace) -> int:
    from pilotlight.ci.environment import Backend, EnvironmentProblem
    from pilotlight.cli.session import find_tools

    try:
        Backend(root=options.root, tools=find_tools()).end(options.name, _say)
    except EnvironmentProblem as error:
        return _failed(str(error))
    return 0


def _signs_in(options: argparse.Namespace) -> int:
    """By the variables that .github/actions/login reads. The output `any` is `true` or `false`; where a stack is in that cloud and nobody
    signs in there, its environments would never end: a failure. A name without a file is told and passed over: what is left of its
    environments ends all the same."""
    name, variables = SIGNS_IN[options.cloud], json.loads(_variable("VARIABLES"))
    needing = []
    for stack in dict.fromkeys(options.wish.split()):
        try:
            if cloud_of(stack, options.root) == options.cloud:
                needing.append(stack)
        except SelectionError as error:
            _say(str(error))
    there = bool(variables.get(name))
    if needing and not there:
        return _failed(f"{', '.join(needing)}: in {options.cloud}, and the environment has no variable {name} to sign in by: set it there.")
    _output("any", "true" if there else "false")
    _say(f"{options.cloud}: " + (f"signed in to by {name}." if there else f"passed over, there is no variable {name}."))
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from pilotlight.ci.environment import Backend, EnvironmentProblem, sweep
    from pilotlight.cli.session import find_tools

    api = _api()
    backend, lease = Backend(root=options.root, tools=find_tools()), timedelta(hours=options.hours)
    try:
        failed = sweep(backend, options.cloud, pull=api.pull, now=datetime.now(UTC), lease=lease, say=_say)
    except EnvironmentProblem as error:
        failed = [error]
    return _failed("\n".join(str(each) for each in failed)) if failed else 0


def _plans(places: Sequence[Path]) -> tuple[list[dict[str, Any]], list[str]]:
    """The plans in these files and below these folders, and what is wrong with files that are none."""
    files = [file for place in places for file in (sorted(place.rglob("*.json")) if place.is_dir() else [place])]
    plans: list[dict[str, Any]] = []
    problems = [] if files else [f"No plan in {', '.join(map(str, places))}: `pilotlight preview STACK --json` writes one."]
    for file in files:
        try:
            plan = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            problems.append(f"{file} is no plan ({error}): the preview failed before it began; its log says why.")
            continue
        if isinstance(plan, dict) and isinstance(plan.get("stack"), str):
            plans.append(plan)
        else:
            problems.append(f"{file} is no plan: it names no stack; `pilotlight preview STACK --json` writes one.")
    return plans, problems


def _stacks_of(told: str) -> set[str]:
    """The stacks of a matrix."""
    return {each["stack"] for each in json.loads(told)["include"]} if told else set()


def _output(name: str, value: str) -> None:
    """An output of the step, or a line on standard output outside of GitHub."""
    if re.search(r"[\r\n]", value):
        raise SelectionError(f"The output {name} has more than one line: {value!r}.")
    place = os.environ.get("GITHUB_OUTPUT")
    if not place:
        sys.stdout.write(f"{name}={value}\n")
        return
    with Path(place).open("a") as outputs:
        outputs.write(f"{name}={value}\n")


def _variable(name: str) -> str:
    if not os.environ.get(name):
        raise SelectionError(f"{name} is not set: GitHub sets it for every step; outside, export it.")
    return os.environ[name]


def _api() -> GitHub:
    address = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    return GitHub(api=address, repository=_variable("GITHUB_REPOSITORY"), token=os.environ.get("GITHUB_TOKEN", ""))


def _failed(text: str) -> int:
    _say(text)
    return 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 (a program of its own)


if __name__ == "__main__":
    raise SystemExit(main())
