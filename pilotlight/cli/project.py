"""The checkout that a command works in: its Pulumi.yaml, its stacks and what they configure."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pilotlight.cli.exits import CommandError, Exit

FILE = "Pulumi.yaml"
# As the program reads it (`stacks/settings.py`), whatever the project is called.
NAMESPACE = "pilotlight"
SERVICE = f"{NAMESPACE}:service"


@dataclass(frozen=True)
class Project:
    """A folder with a Pulumi.yaml. `root` is absolute."""

    root: Path

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        return _mapping(self.root / FILE)

    @property
    def name(self) -> str:
        if not self.settings.get("name"):
            raise CommandError(f"{self.root / FILE} has no name: add `name: pilotlight`.")
        return str(self.settings["name"])

    @property
    def program(self) -> Path:
        """The folder that the program runs in (`main`); relative paths of the program start here."""
        return (self.root / str(self.settings.get("main", "."))).resolve()

    @property
    def config_folder(self) -> Path:
        return self.root / str(self.settings.get("stackConfigDir", "."))

    @property
    def stacks(self) -> list[str]:
        """The names for which there is a `Pulumi.<stack>.yaml`, sorted."""
        prefix, suffix = FILE.split(".")
        files = (file for file in self.config_folder.glob(f"{prefix}.*.{suffix}") if file.is_file())
        return sorted(file.name[len(prefix) + 1 : -len(suffix) - 1] for file in files)

    def stack_file(self, stack: str) -> Path:
        """The committed configuration of a stack; raises CommandError with the known stacks when there is none."""
        if stack not in self.stacks:
            known = ", ".join(self.stacks) or "none"
            raise CommandError(f"There is no stack {stack!r} in {self.config_folder}: known stacks are {known}.", Exit.MISSING)
        return self.config_folder / f"Pulumi.{stack}.yaml"

    def stack_config(self, stack: str) -> Mapping[str, Any]:
        """The `config` mapping of a stack's file, its settings unchecked: the program is the judge of them. Empty for an empty file.

        Raises CommandError when the file is no YAML mapping of mappings: the engine's own words do not name the file.
        """
        file = self.stack_file(stack)
        config = _mapping(file, empty=True).get("config") or {}
        if not isinstance(config, Mapping):
            raise CommandError(f"{file}: config: {config!r}: use a mapping with `{SERVICE}` and `aws:region`, say.")
        return config

    def providers(self, stack: str) -> tuple[str, ...]:
        """The Pulumi providers that a stack uses: those that its file configures, as `gcp:project` does, and the one that builds images."""
        return ("docker-build", *sorted({str(key).split(":", 1)[0] for key in self.stack_config(stack)} - {self.name, NAMESPACE}))

    def service(self, stack: str) -> Mapping[str, Any]:
        """The stack's `pilotlight:service` mapping, empty when it is missing or of another kind."""
        service = self.stack_config(stack).get(SERVICE)
        return service if isinstance(service, Mapping) else {}


def find(start: Path) -> Project:
    """The project around a folder; raises CommandError when no parent has a Pulumi.yaml."""
    folder = start.resolve()
    if not folder.is_dir():
        raise CommandError(f"{start} is no folder: name one inside a checkout.")
    for candidate in (folder, *folder.parents):
        if (candidate / FILE).is_file():
            return Project(candidate)
    raise CommandError(f"Neither {folder} nor a folder above it holds a {FILE}: go to a checkout, or name it with --cwd.")


def _mapping(file: Path, *, empty: bool = False) -> Mapping[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise CommandError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} can't be read: {error}") from error
    if content is None and empty:
        return {}
    if not isinstance(content, Mapping):
        raise CommandError(f"{file} holds no mapping at its top.")
    return content
