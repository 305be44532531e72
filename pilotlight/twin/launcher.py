"""First code of every process that the twin starts: closes the ways out, becomes the image's user, then becomes the program.

Run as `python -I -S launcher.py SPEC`, where SPEC is the JSON of `pilotlight.twin.sandbox.LaunchSpec`. Imports nothing of the
twin, because it runs before each program and its time is part of every cold start.
Exit status 126 with one line on stderr means that the program was never reached.
"""

import ctypes
import json
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 8192, 16384, 1 << 18
CLONE_NEWNS = 0x20000
LOCALE_COERCED = "LC_CTYPE"

LIBC = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    if LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {kind or source} on {target}: {os.strerror(code)}")


def _place(target: str, source: str) -> None:
    """Make what a bind mount needs below it: a folder for a folder, an empty file for a file."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "a", encoding="ascii"):
        pass


def _enter(root: str, mounts: list[dict[str, str]]) -> None:
    """Give this process a file system of its own that holds the given mounts and nothing else of the host."""
    if LIBC.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "a mount namespace of its own")
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
    old_mask = os.umask(0o022)
    for mount in mounts:
        target = root + mount["target"]
        if mount["kind"] == "symlink":
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.symlink(mount["source"], target)
        elif mount["kind"] == "tmpfs":
            os.makedirs(target, exist_ok=True)
            _mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, mount["options"])
        else:
            _place(target, mount["source"])
            _mount(mount["source"], target, "", MS_BIND | MS_REC)
            if mount["kind"] == "readonly":
                _mount("none", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID)
    os.umask(old_mask)
    _mount("none", root, "", MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
    os.chdir(root)
    _mount(root, "/", "", MS_MOVE)
    os.chroot(".")


def _become(uid: int, gid: int) -> None:
    for stream in (1, 2):  # the image's user may open /dev/stdout by name
        os.fchown(stream, uid, gid)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _die_with(parent: int) -> None:
    """SIGKILL when the twin's loop thread ends, even by kill -9. After setuid, which would clear it again."""
    if not hasattr(LIBC, "prctl"):
        return
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(126)


def main(spec: dict[str, object]) -> None:
    environment = dict(os.environ)
    if not spec["locale"]:  # Python's own C-locale coercion put it there, not the image
        environment.pop(LOCALE_COERCED, None)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        if spec["root"]:
            _enter(str(spec["root"]), spec["mounts"])  # type: ignore[arg-type]
        if spec["uid"] is not None:
            _become(int(str(spec["uid"])), int(str(spec["gid"])))
        _die_with(int(str(spec["parent"])))
        os.chdir(str(spec["cwd"]))
        argv = [str(word) for word in spec["argv"]]  # type: ignore[attr-defined]
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execvpe(argv[0], argv, environment)  # noqa: S606
    except OSError as error:
        sys.stderr.write(
            f"The program could not be started: {error.strerror or error}{f' ({error.filename})' if error.filename else ''}.\n"
        )
        sys.stderr.flush()
        os._exit(126)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
