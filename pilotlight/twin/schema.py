"""What a resource type's Python SDK declares: inputs, which are required, outputs, which are always there. Loaded on first use."""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import sys
import threading
import typing
import warnings
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pulumi
from pulumi import _types
from pulumi.runtime import rpc

# The SDK's modules import each other in circles: two threads that load them at once would see half of one.
_LOADING = threading.RLock()
# Package name of the engine -> module that holds its SDK.
SDKS: Mapping[str, str] = {
    "aws": "pulumi_aws",
    "azure-native": "pulumi_azure_native",
    "docker-build": "pulumi_docker_build",
    "gcp": "pulumi_gcp",
}


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What a provider calls the tags of a resource: `own` the input, `all` the outputs that hold the provider's defaults too."""

    own: str
    all: tuple[str, ...]


# SDKs whose generator writes "Possible values are: `A`, `B`." for a closed choice, from the list that the provider itself checks.
_WORDED = frozenset({"gcp"})
# SDKs whose enumerations are all open, although the cloud takes what they list and little else; and what it takes beside that.
_OPEN = frozenset({"azure-native"})
# Container Apps documentation, "Azure Functions on Azure Container Apps" (read 2026-11).
_ALSO: Mapping[str, tuple[str, ...]] = {
    "pulumi_azure_native.app._enums.Kind": ("functionapp",),
    # The SDK lists those of another service, which has an enumeration of that name; these are those of alerts on logs ("Scheduled Query
    # Rules - Create Or Update").
    "pulumi_azure_native.monitor._enums.ConditionOperator": (
        *("Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"),
    ),
}
# SDKs whose provider tells a preview only what the program has given, in nested objects too, and calls everything else unknown.
_NESTED = frozenset({"azure-native"})
_CHOICE = re.compile(r"(?:[Pp]ossible values(?: are)?|Each value may be one of): (`[^`]+`(?:, `[^`]+`)*)\.?(?: |$)")
_MARKS = (Marks(own="tags", all=("tagsAll",)), Marks(own="labels", all=("pulumiLabels", "effectiveLabels")))


@dataclass(frozen=True, kw_only=True)
class SdkType:
    """`inputs` is the SDK's args class; `fields` its property types by Pulumi name; `settled` the outputs that are never absent."""

    token: str
    inputs: type
    fields: Mapping[str, Any]
    outputs: frozenset[str]
    settled: frozenset[str]

    @property
    def worded(self) -> bool:
        """Whether the SDK's texts tell closed choices in one wording."""
        return self.token.split(":", 1)[0] in _WORDED

    @property
    def opened(self) -> bool:
        """Whether what open enumerations list is all that is allowed."""
        return self.token.split(":", 1)[0] in _OPEN

    @property
    def nested(self) -> bool:
        """Whether previews know of nested outputs too only what was given."""
        return self.token.split(":", 1)[0] in _NESTED

    @property
    def marks(self) -> Marks | None:
        """None for a type that takes no tags."""
        return next((marks for marks in _MARKS if marks.own in self.fields and set(marks.all) <= self.outputs), None)


@cache
def sdk_type(token: str) -> SdkType | None:
    """The SDK's declaration of a resource type, or None when the SDK has no such type."""
    resource = _resource_class(token)
    if resource is None:
        return None
    module = sys.modules[resource.__module__]
    name = resource.__name__
    inputs: type = getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")
    getters = _getters(resource)
    return SdkType(
        token=token,
        inputs=inputs,
        fields=_types.input_type_types(inputs),
        outputs=frozenset(getters),
        settled=frozenset(name for name, optional in getters.items() if not optional),
    )


@cache
def answers(token: str) -> Mapping[str, Any]:
    """The types of a resource type's outputs by Pulumi name, those that may be absent as if they were always there."""
    resource = _resource_class(token)
    return _types.resource_types(resource) if resource is not None else {}


def _resource_class(token: str) -> type | None:
    package, module, _ = token.split(":", 2)
    if package not in SDKS:
        return None
    with _LOADING, warnings.catch_warnings():
        # Loading a service's module loads its deprecated types too, which warn although nobody uses them.
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module(SDKS[package])
        found: Any = rpc.get_resource_module(package, module, "")
        info = found.mod_info if found else {"classes": {}}
        if token not in info["classes"]:
            return None
        return typing.cast(type, getattr(importlib.import_module(info["fqn"]), info["classes"][token]))


def _getters(resource: type) -> dict[str, bool]:
    """Outputs by Pulumi name -> whether the SDK says that they may be absent."""
    found: dict[str, bool] = {}
    for _, property_ in inspect.getmembers(resource, lambda member: isinstance(member, property)):
        pulumi_name = getattr(property_.fget, "_pulumi_name", None)
        if pulumi_name is not None:
            answer = property_.fget.__annotations__.get("return")
            (held,) = typing.get_args(answer) or (Any,)
            found[pulumi_name] = type(None) in typing.get_args(held)
    return found


_API_VERSION = re.compile(r"Uses Azure REST API version ([\w-]+)\.")


@cache
def api_version(token: str) -> str | None:
    """The version of Azure's API that the SDK says its provider speaks for a type; None where it says none."""
    resource = _resource_class(token)
    # The constructor's own text says nothing: those of its overloads do.
    texts = [one.__doc__ or "" for one in typing.get_overloads(resource.__init__)] if resource is not None else []  # type: ignore[misc]
    return next((found[1] for text in texts if (found := _API_VERSION.search(text))), None)


@cache
def required(inputs: type) -> frozenset[str]:
    """Pulumi names of the properties that an args class cannot be made without."""
    names = _types.input_type_py_to_pulumi_names(inputs)
    parameters = inspect.signature(inputs.__init__).parameters.values()  # type: ignore[misc]
    missing = [p.name for p in parameters if p.default is inspect.Parameter.empty and p.name not in ("self", "__self__")]
    return frozenset(names.get(name, name) for name in missing)


@cache
def fields(inputs: type) -> Mapping[str, Any]:
    """Property types of an args class by Pulumi name."""
    return _types.input_type_types(inputs)


@cache
def documented_values(inputs: type) -> Mapping[str, tuple[str, ...]]:
    """Properties of an args class whose text tells a closed choice, by Pulumi name, and what may be chosen."""
    names = _types.input_type_py_to_pulumi_names(inputs)
    found: dict[str, tuple[str, ...]] = {}
    for name, member in inspect.getmembers(inputs, lambda one: isinstance(one, property)):
        told = _CHOICE.search(" ".join((member.fget.__doc__ or "").split()))
        if told:
            found[names.get(name, name)] = tuple(told[1].strip("`").split("`, `"))
    return found


def alternatives(declared: Any) -> list[Any]:
    """The plain types that a declared type allows: without Input, Output, Awaitable and None."""
    if typing.get_origin(declared) is not typing.Union:
        return [declared]
    found: list[Any] = []
    for option in typing.get_args(declared):
        if option is type(None) or typing.get_origin(option) in (Awaitable, pulumi.Output):
            continue
        found += alternatives(option)
    return found


def input_classes(declared: Any) -> list[type]:
    """The args classes among the alternatives."""
    return [option for option in alternatives(declared) if isinstance(option, type) and _types.is_input_type(option)]


def enum_values(declared: Any, *, opened: bool = False) -> list[Any] | None:
    """The values of a closed enumeration, or with `opened` of an open one too; None where any value of its type goes."""
    options = alternatives(declared)
    enums = [option for option in options if isinstance(option, type) and issubclass(option, enum.Enum)]
    if not enums or (str in options and not opened):
        return None
    also = [value for kind in enums for value in _ALSO.get(f"{kind.__module__}.{kind.__name__}", ())]
    return [*(member.value for kind in enums for member in kind), *also]
