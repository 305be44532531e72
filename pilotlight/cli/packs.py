"""Policy packs and their configurations, as verbs are told them and as the engine is."""

import itertools
import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pilotlight.cli.exits import CommandError

PACK, OWN_CONFIG = "policies", Path("own/policies.json")
# For a pack beside the fork's: the engine takes a configuration for each pack or for none.
NO_LEVELS = Path(__file__).parent / "no_levels.json"
# Said of a run for which packs were asked, and of which the engine names none.
UNJUDGED = "was judged by no policy pack, though one was asked for: the engine names none that it has loaded. Look at the `pulumi` on PATH."


def policy_packs(folders: Sequence[Path], configs: Sequence[Path] = ()) -> list[str]:
    """The engine's arguments for packs and their configurations, paths absolute; raises CommandError for one that is none.

    Beside the fork's `policies/` the fork's own packs judge as well (`own_packs`). Without configurations `policies/` gets the fork's own
    (`own_config`), whatever packs are beside it.
    """
    for folder in folders:
        if not (folder / "PulumiPolicy.yaml").is_file():
            raise CommandError(f"--policy-pack {folder}: no PulumiPolicy.yaml there; name the folder of a policy pack.")
    for file in configs:
        if not file.is_file():
            raise CommandError(f"--policy-pack-config {file}: no such file; name a JSON file of levels and parameters.")
    given, packs = len(configs), len(folders)
    if given not in (0, packs):
        raise CommandError(
            f"--policy-pack-config is given {given} times, --policy-pack {packs} times: give one for each pack, in its order."
        )
    folders = [*folders, *_beside(folders)]
    own = [own_config(folder) for folder in folders]
    if not configs and any(own):
        configs = [NO_LEVELS if file is None else file for file in own]
    elif configs:
        configs = [*configs, *(file or NO_LEVELS for file in own[packs:])]
    for folder, file in zip(folders, configs, strict=False):
        _must_name_rules(file, folder / "config.schema.json")
    named = {"--policy-pack": folders, "--policy-pack-config": configs}
    return [part for option, paths in named.items() for path in paths for part in (option, str(path.resolve()))]


def levels_given(arguments: Sequence[str]) -> dict[str, Any]:
    """What packs are told of rules by the arguments of `policy_packs`: a rule's name to its level or its parameters; a name that an earlier
    pack was told of has its pack before it, `own/extra: log-retention`, so that neither hides the other."""
    told_of = list(itertools.pairwise(arguments))
    packs, files = ([Path(path) for option, path in told_of if option == f"--policy-pack{each}"] for each in ("", "-config"))
    found: dict[str, Any] = {}
    for pack, file in zip(packs, files, strict=False):
        for name, told in levels_of(file).items():
            found[f"{pack.parent.name}/{pack.name}: {name}" if name in found else name] = told
    return found


def own_config(pack: Path) -> Path | None:
    """A fork's levels and parameters, `own/policies.json` beside its `policies/`, `policies.json` in a pack of its own; None where it has
    none, or for another pack.

    Raises CommandError for a file that is no JSON object: to judge without it would be to pass what it forbids.
    """
    folder, own = pack.resolve(), OWN_CONFIG.parent.name
    mine = folder.parent.name == own
    file = folder / OWN_CONFIG.name if mine else folder.parent / OWN_CONFIG
    if not (mine or folder.name == PACK) or not file.is_file():
        return None
    levels_of(file)
    return file


def own_packs(pack: Path) -> list[Path]:
    """A fork's own packs, the folders of `own/` that are one, beside its `policies/`; none for another pack."""
    if pack.resolve().name != PACK or pack.resolve().parent.name == OWN_CONFIG.parent.name:
        return []
    return sorted(file.parent for file in pack.resolve().parent.glob("own/*/PulumiPolicy.yaml"))


def _beside(folders: Sequence[Path]) -> list[Path]:
    """Own packs that were not named with the others."""
    named = {folder.resolve() for folder in folders}
    return [own for own in dict.fromkeys(each for folder in folders for each in own_packs(folder)) if own not in named]


def levels_of(file: Path) -> dict[str, Any]:
    """A pack's configuration as it is written. Raises CommandError."""
    try:
        told = json.loads(file.read_text())
    except ValueError as error:
        raise CommandError(f"{file} is no JSON: {error}") from None
    if not isinstance(told, dict):
        raise CommandError(f"{file} is {type(told).__name__}: write an object, a rule's name to its level or its parameters.")
    return told


def _must_name_rules(file: Path, schema: Path) -> None:
    """Raises CommandError for names that no rule has, where the pack says which it has: the engine's own words for them name nothing."""
    if not schema.is_file():
        return
    known = json.loads(schema.read_text()).get("properties", {})
    unknown = [name for name in levels_of(file) if name not in known]
    if unknown:
        meant = [f"{name!r}{f' (do you mean {near[0]!r}?)' if (near := get_close_matches(name, known, 1)) else ''}" for name in unknown]
        raise CommandError(f"{file} names rules that {schema.parent.name} does not have: {', '.join(meant)}.")
