"""From a model's source to the artifact that is deployed and served; from the handlers to the function's zip."""

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.function import PackagedFunction, function_is_packaged, package_function
from pilotlight.packaging.model import PackagedModel, is_packaged, needs_torch, package_model
from pilotlight.packaging.stack import PackagedStack, package_stack, stack_is_packaged

__all__ = [
    "PackagedFunction",
    "PackagedModel",
    "PackagedStack",
    "PackagingError",
    "function_is_packaged",
    "is_packaged",
    "needs_torch",
    "package_function",
    "package_model",
    "package_stack",
    "stack_is_packaged",
]
