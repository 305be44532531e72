"""What a cell says where a feature is there: the number that the program itself allows, or what follows from the facts of the platform."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import pulumi

from components import timeouts
from components.capabilities import CLOUD_SETTINGS
from components.limits_azure import API_MANAGEMENT_TIERS
from components.platform_facts import PLATFORM_FACTS, PlatformFacts
from components.platforms import cloud_of
from components.timeouts import QueueChain
from components.warming_checks import EVERY_MINUTES, MOST_MONTHS, YEARLESS
from docs.generate.costs import at_rest
from handlers.functions.azure.results import QUEUE_INLINE_BYTES
from handlers.functions.rows import INLINE_BYTES
from pilotlight.described import TOO_MUCH, probed, with_setting
from pilotlight.planned import config_of, plan, ready_stacks
from stacks.settings import parse
from stacks.settings_service import Auth

YES, NO = "yes", "no"
# A list with more values than this is told by its first and last one.
MOST_SHOWN = 5
_LIST = re.compile(r"(\d+)((?:, \d+)+) or (\d+) (\w+)")
# What is allowed, up to its source, its reason, or another way.
_HEAD = re.compile(r".*?(?= \(|: |, or raise|, or lower|, which|$)")


@dataclass(frozen=True)
class Said:
    """A cell, and its footnotes."""

    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A row of the table: what somebody looks for, the settings that ask for it, and of the first one the `value` that is meant.

    figure  what the cell of a platform says where none of the tables refuses the settings; None: yes
    """

    words: str
    keys: tuple[str, ...] = ()
    value: str | None = None
    figure: Callable[[str], Said] | None = None

    @property
    def lookups(self) -> list[str]:
        """The keys as the tables have them: `warming.ping` for `warming[ping].everyMinutes`."""
        return [re.sub(r"\[(\w+)\]", r".\1", key) for key in self.keys]


def modes_of(cloud: str) -> list[str]:
    """The authentication modes that the cloud's gateway has."""
    refused = {row.value for row in CLOUD_SETTINGS if row.setting == "auth.mode" and cloud in row.without}
    return [mode for mode in get_args(Auth.model_fields["mode"].annotation) if mode not in refused]


def stack_of(platform: str, pattern: str) -> str:
    """The ready stack of a platform and a pattern, the one without a GPU."""
    return next(each for each in ready_stacks() if _is(each, platform, pattern) and "gpu" not in _service(each)["endpoint"])


def allowed(key: str) -> Callable[[str], Said]:
    """What the program allows for a number, in the ready stack of the platform that has the setting."""

    def figure(platform: str) -> Said:
        raw = _service(stack_of(platform, "events" if key.startswith("events.") else "api"))
        text = probed(raw, key)
        return _short(text) if text else Said(NO, (_refusal(raw, key),))

    return figure


def gateway_wait(platform: str) -> Said:
    return _each_mode(platform, lambda mode: timeouts.gateway_limit(cloud_of(platform), mode))


def longest_wait(platform: str) -> Said:
    """What the tiers of a gateway wait beyond the default one; only one cloud has tiers, the others are refused by table."""
    longest = max((tier.waits for tier in API_MANAGEMENT_TIERS.values()), key=lambda limit: limit.high)
    return Said(f"up to {longest.high} s", (f"{longest.source}.",))


def wait(platform: str) -> Said:
    """What the gateway's wait leaves for cold start and prediction."""
    facts, cloud = PLATFORM_FACTS[platform], cloud_of(platform)

    def left(mode: str) -> tuple[int, str]:
        chain = timeouts.chain(cloud=cloud, auth_mode=mode, separate_function=facts.separate_function, predict_s=1)
        start, hops = facts.function_start, "What the gateway waits, less a second for each hop"
        if start is None:
            return chain.endpoint_s, f"{hops}."
        return chain.endpoint_s - start.high, f"{hops}, and {start.high} s in which the function starts from zero ({start.source})."

    return _each_mode(platform, left)


def longest(chain: Callable[[PlatformFacts, int], QueueChain]) -> Callable[[str], Said]:
    """The longest prediction that fits into the time of a function behind a queue, beside the default cold start."""

    def figure(platform: str) -> Said:
        facts = PLATFORM_FACTS[platform]
        fits = (s for s in range(facts.predict_s.high, 0, -1) if timeouts.queue_problem(chain(facts, s), facts.function_s) is None)
        seconds = next(fits)
        cut = seconds < facts.predict_s.high
        bound = facts.function_s if cut else facts.predict_s
        rest = f", which a cold start of {facts.cold_start_s} s and the hops are part of" if cut else ""
        return Said(f"up to {seconds} s", (f"{bound.allowed()}{rest} ({bound.source}).",))

    return figure


def of_event(facts: PlatformFacts, predict_s: int) -> QueueChain:
    separate = facts.separate_function
    return timeouts.event_chain(separate_function=separate, predict_s=predict_s, cold_start_s=facts.cold_start_s, requests=1)


def of_answer(facts: PlatformFacts, predict_s: int) -> QueueChain:
    return timeouts.answer_chain(predict_s=predict_s, cold_start_s=facts.cold_start_s)


def body(platform: str) -> Said:
    said, default = allowed("endpoint.maxBodyBytes")(platform), _size(PLATFORM_FACTS[platform].max_body_bytes)
    return said if said.text.endswith(default) else Said(f"{said.text}, {default} by default", said.notes)


def model_size(platform: str) -> Said:
    """The largest packaged model; between two bounds where the vCPUs decide on the disk."""
    facts = PLATFORM_FACTS[platform]
    disks = () if facts.instance is None else facts.instance.disk_gib
    note = "Half of the disk, the other half is for what is unpacked. The stack's page has the disk and its source."
    least = f"{_size(disks[0][1] * 1024**3 // 2)}, with more vCPU " if disks else ""
    return Said(f"{least}up to {_size(facts.model_bytes)}", (note,))


def cold_start(platform: str) -> Said:
    facts = PLATFORM_FACTS[platform]
    gpus = {} if facts.instance is None else facts.instance.gpus
    told = [f"{facts.cold_start_s} s", *(f"{gpu.cold_start_s} s with `{name}`" for name, gpu in gpus.items())]
    return Said(", ".join(told), ("An estimate for a model of 100 MB, no promise of the service: `Server-Timing` tells what it was.",))


def gpu(name: str) -> Callable[[str], Said]:
    """The memory and the vCPUs of an instance with that GPU, and where it is."""

    def figure(platform: str) -> Said:
        instance = PLATFORM_FACTS[platform].instance
        assert instance is not None  # the tables refuse the others
        facts = instance.gpus[name]
        text = _grouped(f"{facts.memory_mb.allowed()}; {facts.cpus.allowed()}; {len(facts.regions.names)} regions")
        regions = f"{', '.join(facts.regions.names)} ({facts.regions.source}, noted {facts.regions.noted})."
        return Said(text, (f"{facts.memory_mb.source}.", regions))

    return figure


def pinged(platform: str) -> Said:
    """How far apart pings may be, where the platform says how long it keeps an instance that nobody asks, and with a GPU."""
    instance = PLATFORM_FACTS[platform].instance
    usual = EVERY_MINUTES if instance is None else instance.ping_minutes or EVERY_MINUTES
    gpus = {} if instance is None else {name: gpu.ping_minutes for name, gpu in instance.gpus.items() if gpu.ping_minutes is not None}
    with_gpu = "".join(f", up to {minutes.high} with `{name}`" for name, minutes in gpus.items())
    note = () if usual == EVERY_MINUTES else (f"A minute less than an instance is kept that nobody asks ({usual.source}).",)
    return Said(f"every {usual.low} to {usual.high:,} {usual.unit}{with_gpu}", note)


def parallel(platform: str) -> Said:
    said = allowed("warming[ping].parallel")(platform)
    return Said(f"{said.text} at a time", said.notes)


def lease(platform: str) -> Said:
    source = YEARLESS.get(platform)
    return Said(YES) if source is None else Said(f"up to {MOST_MONTHS} months ahead", (f"A rule of a cron knows no year ({source}).",))


def scales_to_zero(platform: str) -> Said:
    """Whether no ready stack of the platform is billed for capacity while nobody calls."""
    stacks = [each for each in ready_stacks() if _is(each, platform)]
    if any(line.idle.kind == "capacity" for each in stacks for line in at_rest(plan(each).resources)):
        return Said(NO)
    return Said(f"{YES}, with a GPU too" if any("gpu" in _service(each)["endpoint"] for each in stacks) else YES)


def exported(output: str, pattern: str) -> Callable[[str], Said]:
    """Whether the ready stack of the pattern has an output."""
    return lambda platform: Said(YES if output in plan(stack_of(platform, pattern)).outputs else NO)


def large_results(platform: str) -> Said:
    if exported("resultsBucket", "events")(platform).text == NO:
        return Said(NO)
    queue = f", {_size(QUEUE_INLINE_BYTES)} with `queue`" if cloud_of(platform) == "azure" else ""
    return Said(f"beyond {_size(INLINE_BYTES)}{queue}")


def _is(stack: str, platform: str, pattern: str | None = None) -> bool:
    service = _service(stack)
    return service["endpoint"]["platform"] == platform and pattern in (None, service["pattern"])


def _service(stack: str) -> dict[str, Any]:
    service: dict[str, Any] = config_of(stack)["pilotlight:service"]
    return service


def _each_mode(platform: str, of: Callable[[str], tuple[int, str]]) -> Said:
    """Seconds by authentication mode, together where they are the same."""
    found: dict[int, list[str]] = {}
    sources: dict[str, None] = {}
    for mode in modes_of(cloud_of(platform)):
        seconds, source = of(mode)
        found.setdefault(seconds, []).append(f"`{mode}`")
        sources[source if source.endswith(".") else f"{source}."] = None
    by_mode = ", ".join(f"{seconds} s with {', '.join(modes)}" for seconds, modes in found.items())
    return Said(by_mode if len(found) > 1 else f"{next(iter(found))} s", tuple(sources))


def _short(text: str) -> Said:
    """A cell of what is allowed; the rest of the sentence, its source, is the footnote, all of it where the cell is shorter."""
    head = _HEAD.match(text)
    assert head is not None  # it takes every text
    short = _LIST.sub(_few, head[0])
    rest = text[head.end() :].lstrip(" :,")
    rest = text if short != head[0] else rest[1:-1] if rest.startswith("(") else rest
    return Said(_grouped(re.sub("^[01] to ", "up to ", short)), (f"{rest[:1].upper()}{rest[1:]}.",) if rest else ())


def _few(found: re.Match[str]) -> str:
    """The ends of a list in place of all of it, where that is long."""
    several = found[2].count(",") + 2
    return found[0] if several <= MOST_SHOWN else f"{found[1]} to {found[3]} {found[4]}, in {several} steps"


def _grouped(text: str) -> str:
    """Numbers as people read them: bytes as MiB where they are whole, else digits in threes."""
    text = re.sub(r"(\d+) bytes", lambda found: _size(int(found[1])), text)
    return re.sub(r"\d{4,}", lambda found: f"{int(found[0]):,}", text)


def _size(size: int) -> str:
    """A size in the largest unit that it reaches, where it is a whole number of halves of that."""
    unit, name = next(each for each in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"), (1, "bytes")) if size >= each[0])
    return f"{size / unit:g} {name}" if 2 * size % unit == 0 else f"{size:,} bytes"


def _refusal(raw: Mapping[str, Any], key: str) -> str:
    """What the program says of a setting whose whole part is not there."""
    try:
        parse(with_setting(dict(raw), key, TOO_MUCH), "docs")
    except pulumi.RunError as error:
        part = key.partition(".")[0]
        for line in str(error).split("\n  ")[1:]:
            if line.startswith(f"{part}: "):
                return f"`{part}`: {line.partition(': ')[2]}."
    raise ValueError(f"{key}: nothing is told of it")
