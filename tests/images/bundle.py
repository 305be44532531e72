"""The OCI runtime configuration of a container as tight as the platforms': nothing writable but /tmp, no capability."""

from pathlib import Path
from typing import Any

from tests.images.engines import ImageConfig, Launch

_CAPABILITY_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def _tmpfs(target: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", *options]}


def _bind(target: str, source: str | Path) -> dict[str, Any]:
    return {"destination": target, "type": "bind", "source": str(source), "options": ["rbind", "ro", "nosuid", "nodev"]}


def bundle_config(name: str, root: Path, image: ImageConfig, launch: Launch) -> dict[str, Any]:
    """The bundle's config.json. ValueError for a user that is not numeric: nothing here could resolve a name."""
    uid, _, gid = image.user.partition(":")
    if not (uid.isdigit() and gid.isdigit()):
        raise ValueError(f"The image's user is {image.user!r}; it must be numeric, like 10001:10001.")
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
        "readonlyPaths": ["/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"],
        "cgroupsPath": f"/{name}",
    }
    if launch.memory_mb:
        # No swap beyond it: the limit is meant to be hit, not softened.
        linux["resources"] = {"memory": {"limit": launch.memory_mb << 20, "swap": launch.memory_mb << 20}}
    return {
        "ociVersion": "1.0.2",
        "hostname": "model-server",
        "root": {"path": str(root), "readonly": True},
        "process": {
            "terminal": False,
            "user": {"uid": int(uid), "gid": int(gid)},
            "args": [*image.entrypoint, *launch.args],
            "env": [f"{key}={value}" for key, value in {**image.env, **launch.env}.items()],
            "cwd": image.workdir,
            "capabilities": {kind: [] for kind in _CAPABILITY_SETS},
            "noNewPrivileges": True,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {**_tmpfs("/dev", "mode=755", "size=64k"), "options": ["nosuid", "strictatime", "mode=755", "size=64k"]},
            _tmpfs("/dev/shm", "noexec", "mode=1777", "size=64m"),
            _tmpfs("/tmp", "mode=1777", "size=512m"),
            _bind("/etc/hosts", "/etc/hosts"),
            *(_bind(target, source) for target, source in launch.mounts.items()),
        ],
        "linux": linux,
    }
