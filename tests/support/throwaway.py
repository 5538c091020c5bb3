"""A machine to throw away: what is done in it is done to a copy of the folders of this one, on a network of its own.

So README's commands run as they are written, as root, on the ports and paths that they name. What a systemd would do is
done by two stand-ins, as none runs here: `systemctl` starts what a unit says, as its user; `journalctl` shows Postfix's log.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

COPIED = ("/etc", "/home", "/opt", "/root", "/srv", "/usr", "/var")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Root's on Debian."""
_KEPT_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname")
"""A container has them mounted from elsewhere; a copy of the folder would show what is below."""
_UMASK = 0o022
"""Debian's own, whatever that of who runs the tests: the copies of /etc and /var are for other users, too."""
_LOOPBACK_UP = """
import fcntl, socket, struct
with socket.socket() as one:
    fcntl.ioctl(one, 0x8914, struct.pack("16sH14x", b"lo", 0x49))
"""

SYSTEMCTL = """\
#!/usr/bin/python3
import os, re, subprocess, sys, time
from pathlib import Path
name = sys.argv[-1]
log = Path(f"/var/log/{name}.journal")
if sys.argv[1] == "reload":
    os.kill(int(Path(f"/var/log/{name}.pid").read_text()), 1)
    sys.exit()
assert sys.argv[1:3] == ["enable", "--now"], sys.argv
unit = Path(f"/etc/systemd/system/{name}.service").read_text()
user = re.search("^User=(.*)$", unit, re.M)[1]
command = re.search("^ExecStart=(.*)$", unit, re.M)[1].split()
rights = [one.removeprefix("CAP_").lower() for one in re.search("^AmbientCapabilities=(.*)$", unit, re.M)[1].split()]
caps = ",".join("+" + one for one in rights)
with log.open("ab") as said:
    started = subprocess.Popen(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", f"--inh-caps={caps}", f"--ambient-caps={caps}",
         *command], stdout=said, stderr=said, stdin=subprocess.DEVNULL, start_new_session=True, cwd="/", umask=0o077)
Path(f"/var/log/{name}.pid").write_text(str(started.pid))
for _ in range(600):
    if b'"service.serving"' in log.read_bytes():
        sys.exit()
    if started.poll() is not None:
        break
    time.sleep(0.1)
sys.exit(f"{name} does not serve: {log.read_text()}")
"""
JOURNALCTL = """\
#!/bin/sh
[ "$1 $2 $#" = "-u postfix* 2" ] && exec cat /var/log/mail.journal  # which has the same form
exit 9
"""


def why_not() -> str:
    """Why there can be no such copy here; empty where there can."""
    if os.geteuid() != 0:
        return "needs root: README's commands for administrators are root's"
    if missing := [name for name in ("unshare", "nsenter", "mount", "setpriv", "useradd") if not shutil.which(name)]:
        return f"needs {', '.join(missing)} (apt-get install util-linux passwd)"
    probe = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--net",
        "--propagation",
        "private",
        "mount",
        "-t",
        "tmpfs",
        "x",
        "/mnt",
    ]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"needs namespaces and mounts of its own, which this machine does not allow: {done.stderr.strip()}" * bool(
        done.returncode
    )


class Throwaway:
    """A context manager; everything in it ends with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: list[str] = []
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Throwaway":
        layers = self.folder / "layers"
        layers.mkdir()
        lines = [f"mount -t tmpfs -o size=3g,mode=755 tmpfs {layers}"]
        kept = {name: Path(name).read_bytes() for name in _KEPT_FILES if Path(name).exists()}
        for place in COPIED:
            upper, work = (f"{layers}{place}/{one}" for one in ("upper", "work"))
            options = f"lowerdir={place},upperdir={upper},workdir={work}"
            lines += [f"mkdir -p {upper} {work}", f"mount -t overlay overlay -o {options} {place}"]
        lines += ["mount -t tmpfs tmpfs /run", "mount -t proc proc /proc", "echo ready", "exec sleep 3600"]
        self._mounts = self._hold(
            ["unshare", "--mount", "--pid", "--fork", "--propagation", "private"], "\n".join(lines)
        )
        self._network: subprocess.Popen[str] | None = None
        for name, content in kept.items():
            self.write(name, content)
        self.write("/usr/local/sbin/systemctl", SYSTEMCTL.encode(), mode=0o755)
        self.write("/usr/local/sbin/journalctl", JOURNALCTL.encode(), mode=0o755)
        return self

    def __exit__(self, *_: object) -> None:
        # The first process of a namespace takes all the others with it.
        for one in (self._mounts, self._network, *self._started):
            if one is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(one.pid, signal.SIGKILL)
                one.communicate()

    def cut_off(self) -> None:
        """From now on its network is its own loopback: every port is free, and nobody else hears."""
        bring_up = f"{sys.executable} -c '{_LOOPBACK_UP}' && echo ready && exec sleep 3600"
        self._network = self._hold([*self._enter(), "unshare", "--net"], bring_up)

    def run(self, script: str, folder: str = "/", *, status: int = 0, **environment: str) -> str:
        """What the lines of a shell print, all in all; they must end with this status."""
        done = subprocess.run(
            [*self._enter(), "bash", "-euo", "pipefail", "-c", f"cd {folder}\n{script}"],
            env=_environment() | environment,
            capture_output=True,
            text=True,
            umask=_UMASK,
            timeout=600,
            check=False,
        )
        said = done.stdout + done.stderr
        self.log.append(f"$ {script}\n{said}")
        assert done.returncode == status, textwrap.shorten(script, 200) + f"\n[{done.returncode}]\n{said}"
        return said

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Something that goes on in it, and can be spoken to."""
        started = subprocess.Popen(
            [*self._enter(), *command],
            env=_environment() | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            umask=_UMASK,
            start_new_session=True,
        )
        self._started.append(started)
        return started

    def write(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """A file of the copy."""
        subprocess.run(
            [*self._enter(), "sh", "-c", f'mkdir -p "$(dirname {path})"; cat > {path} && chmod {mode:o} {path}'],
            input=content,
            umask=_UMASK,
            check=True,
        )

    def read(self, path: str) -> str:
        return self.run(f"cat {path}")

    def _hold(self, command: list[str], script: str) -> subprocess.Popen[str]:
        holder = subprocess.Popen(
            [*command, "sh", "-euc", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            umask=_UMASK,
            start_new_session=True,
        )
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            assert holder.stderr is not None
            raise RuntimeError(f"no copy of this machine: {holder.stderr.read()}")
        return holder

    def _enter(self) -> list[str]:
        mounts = _child(self._mounts.pid)
        enter = ["nsenter", f"--mount=/proc/{mounts}/ns/mnt", f"--pid=/proc/{mounts}/ns/pid"]
        if self._network is not None:
            enter.append(f"--net=/proc/{_child(self._network.pid)}/ns/net")
        return [*enter, "--wd=/"]


def _child(pid: int) -> int:
    """The process that is the first of the namespace: what `unshare --fork` has started."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _environment() -> dict[str, str]:
    """As after a login as root, and how this machine reaches its registries."""
    reaching = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "http", "HTTP"))}
    return reaching | {
        "HOME": "/root",
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "DEBIAN_FRONTEND": "noninteractive",
    }
