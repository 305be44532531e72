"""python -m handlers.functions.azure ROLE

One process of a function on Azure. Exit status: `handlers.web.roles.serve` and `handlers.functions.azure.runs` say it.
"""

import sys

_PACKAGE = "handlers.functions.azure"
_SERVING, _TAKING, _ENDING = ("api",), ("events", "worker"), ("warmer", "forgetter", "floor")


def main() -> int:
    (role,) = sys.argv[1:] if len(sys.argv) == 2 else ("",)
    if role in _TAKING or role in _ENDING:
        from handlers.functions.azure import runs

        return (runs.until_told if role in _TAKING else runs.once)(f"{_PACKAGE}.{role}")
    from handlers.web.roles import serve

    return serve(_PACKAGE, _SERVING, _TAKING + _ENDING)


if __name__ == "__main__":
    sys.exit(main())
