"""What `pilotlight init` must know, and what makes sense together: from the tables of clouds, platforms and settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import limits
from components.capabilities import CLOUD_CONFIG, PLACES
from components.limits import Choice, Range
from components.platform_facts import PLATFORM_FACTS, GpuFacts
from components.platforms import CLOUDS, ENDPOINTS, cloud_of
from pilotlight.planned import changed, config_of
from stacks.paths import choices
from stacks.settings_service import Model, Settings
from stacks.words import PLACES as PLACE_WORDS

# Question, what may be answered (empty: anything), and what is meant by no answer ("" where it can't be guessed) -> the answer.
Ask = Callable[[str, Sequence[str], str], str]
NO_GPU = "none"
OWN_MODELS = "handlers/models"
_DEFAULT = "aws-sagemaker"
_PATTERNS = choices(Settings.model_fields["pattern"].annotation)
_TASKS = choices(Model.model_fields["task"].annotation)
_WRITES = "text-generation"


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What somebody wants; None is what they have not said. `account` is the Google Cloud project or the Azure subscription."""

    name: str | None = None
    cloud: str | None = None
    pattern: str | None = None
    platform: str | None = None
    gpu: str | None = None
    task: str | None = None
    model: str | None = None
    region: str | None = None
    account: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A stack as it would be written: its name, the ready stack that it is like, the `config` of its file."""

    name: str
    base: str
    config: dict[str, Any]


def settled(wishes: Wishes, ask: Ask, root: Path) -> Settled:
    """The stack that is wished for, with what was not said asked for, as far as there is a choice. Nothing is checked here."""
    name = wishes.name if wishes.name is not None else ask("Name of the stack", (), "")
    cloud = wishes.cloud or _cloud(wishes, ask)
    pattern = wishes.pattern or ask("Pattern", _PATTERNS, _PATTERNS[0])
    platform = wishes.platform or _one_of("Platform of the model", [each for each in ENDPOINTS if cloud_of(each) == cloud], ask)
    gpu = _gpu(wishes, platform, ask)
    base = _base(_of_cloud(platform, cloud), gpu, pattern, root)
    config = config_of(base, root)
    ready = config.pop("pilotlight:service")
    task = wishes.task or ask("Task of the model", _TASKS, ready["model"]["task"])
    source = wishes.model if wishes.model is not None else ask("Model", _models(task, root), _model(task, ready, root))
    changes = {"pattern": pattern, "cloud": cloud, "endpoint.platform": platform, "model.task": task, "model.source": source}
    service = changed(ready, {**changes, **_sized(platform, gpu, ready), **_engine(task, gpu)})
    place = _place(wishes, cloud, config, _regions(service), ask)
    return Settled(name=name, base=base, config={**place, "pilotlight:service": service})


def _cloud(wishes: Wishes, ask: Ask) -> str:
    clouds = list(CLOUDS)
    return cloud_of(wishes.platform) if wishes.platform in ENDPOINTS else ask("Cloud", clouds, cloud_of(_DEFAULT))


def _one_of(question: str, known: Sequence[str], ask: Ask) -> str:
    if len(known) > 1:
        return ask(question, known, _DEFAULT if _DEFAULT in known else known[0])
    return known[0] if known else _DEFAULT


def _of_cloud(platform: str, cloud: str) -> str:
    """The platform, or one of the cloud where it is no platform of it: that is told, and nothing that only follows from it."""
    if cloud not in CLOUDS or (platform in ENDPOINTS and cloud_of(platform) == cloud):
        return platform
    return next(each for each in ENDPOINTS if cloud_of(each) == cloud)


def _gpu(wishes: Wishes, platform: str, ask: Ask) -> str | None:
    """The GPU, None without; asked for where the platform has some."""
    known = tuple(gpus_of(platform))
    gpu = wishes.gpu or (ask("GPU", (NO_GPU, *known), NO_GPU) if known else NO_GPU)
    return None if gpu == NO_GPU else gpu


def _base(platform: str, gpu: str | None, pattern: str, root: Path) -> str:
    """The ready stack that is closest; what is wrong with the wishes is told by the reader of settings."""
    pattern = pattern if pattern in _PATTERNS else _PATTERNS[0]
    names = (f"{platform}-gpu-{pattern}" if gpu in gpus_of(platform) else "", f"{platform}-{pattern}")
    return next((name for name in names if (root / f"stacks/Pulumi.{name}.yaml").is_file()), f"{_DEFAULT}-{pattern}")


def _sized(platform: str, gpu: str | None, ready: dict[str, Any]) -> dict[str, Any]:
    """The GPU, the memory that it takes, and the image for it; a GPU that the platform has not is told as that alone."""
    if gpu is None or ready["endpoint"].get("gpu") == gpu:
        return {}
    known = gpus_of(platform)
    return {
        "endpoint.gpu": gpu,
        **({"image.build.target": "gpu"} if known else {}),
        **({"endpoint.memoryMb": _least(known[gpu].memory_mb)} if gpu in known else {}),
    }


def _engine(task: str, gpu: str | None) -> dict[str, Any]:
    """Engine torch where no other serves the task, with its image where there is one of ours."""
    if task != _WRITES:
        return {}
    return {"model.engine": "torch", **({"image.build.target": "gpu-torch"} if gpu is not None else {})}


def gpus_of(platform: str) -> Mapping[str, GpuFacts]:
    """The GPUs of a platform by name; none of one that is not known."""
    facts = PLATFORM_FACTS[platform].instance if platform in PLATFORM_FACTS else None
    return {} if facts is None else facts.gpus


def _least(memory_mb: Range | Choice) -> int:
    return memory_mb.low if isinstance(memory_mb, Range) else memory_mb.values[0]


def _models(task: str, root: Path) -> tuple[str, ...]:
    """The models of this checkout that a task may have; empty: any source."""
    return own_models(root) if task == "custom" else ()


def _model(task: str, ready: dict[str, Any], root: Path) -> str:
    """The model that is meant where none is named, "" where that is not clear."""
    if task == "custom":
        known = own_models(root)
        return known[0] if len(known) == 1 else ""
    # Its model answers both.
    return str(ready["model"]["source"]) if task in ("feature-extraction", "sentence-embedding") else ""


def own_models(root: Path) -> tuple[str, ...]:
    """The folders of models of one's own, as `model.source` has them."""
    return tuple(sorted(f"{OWN_MODELS}/{path.parent.name}" for path in (root / OWN_MODELS).glob("*/model.py")))


def _regions(service: dict[str, Any]) -> tuple[str, ...]:
    """The regions that have what is wished for, where not all of a cloud have it; empty: any."""
    endpoint = service["endpoint"]
    gpu = gpus_of(endpoint["platform"]).get(endpoint.get("gpu", ""))
    has_gateway = limits.API_GATEWAY_REGIONS.names if (service["cloud"], service["pattern"]) == ("gcp", "api") else ()
    if gpu is None:
        return has_gateway
    return tuple(name for name in gpu.regions.names if not has_gateway or name in has_gateway)


def _place(wishes: Wishes, cloud: str, ready: dict[str, Any], regions: Sequence[str], ask: Ask) -> dict[str, Any]:
    """What the cloud's provider is told; a region of a cloud that is not known goes with the ready stack's."""
    place = dict(ready)
    for key, usual in ready.items():
        is_region = key == PLACES.get(cloud)
        said, known = (wishes.region, regions) if is_region else (wishes.account, ())
        usual = known[0] if known and usual not in known else str(usual)
        place[key] = said if said is not None else ask(PLACE_WORDS[key][:1].upper() + PLACE_WORDS[key][1:], known, usual)
    return place


def placeholders(stack: Settled, root: Path) -> list[str]:
    """Keys whose values a cloud account will not take as they come with the ready stack."""
    cloud, ready = stack.config["pilotlight:service"]["cloud"], config_of(stack.base, root)
    mine = [key for key in CLOUD_CONFIG.get(cloud, ()) if key != PLACES[cloud] and stack.config.get(key) == ready.get(key)]
    return [*mine, *(["gateway"] if "gateway" in stack.config["pilotlight:service"] else [])]
