"""Who runs PostgreSQL: it refuses root, and users whom /etc/passwd does not know, so those give it another name.

Tried in this order; what does not work here is passed over:
1. a user namespace in which we are an ordinary user of this machine: no privilege at all, and the files stay ours;
2. for root, where namespaces are refused (Docker's default): `nobody`, on a folder of its own inside the data
   directory. The directory stays closed to others, so `nobody` keeps one right of root's: to pass what is closed
   (CAP_DAC_OVERRIDE).
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.embedded.errors import ServerFailed


@dataclass(frozen=True)
class Identity:
    """What to put before a command so that it runs as a user who may own a cluster."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def own(self, folder: Path) -> None:
        """Make the folder and all in it this user's, if it is not."""
        if folder.stat().st_uid == self.uid:
            return
        for path in (*folder.rglob("*"), folder):  # the folder last: it tells that all of it is done
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def choose(directory: Path, program: Path) -> Identity:
    """Give the identity under which `program` runs and reaches `directory`; raises ServerFailed when none does."""
    us = Identity(os.geteuid(), os.getegid())
    if us.uid in _ordinary_users():
        return us
    for identity in _others(us):
        if _works(identity, directory, program):
            return identity
    if us.uid != 0:
        raise ServerFailed(
            f"PostgreSQL does not run as user {us.uid}, whom /etc/passwd does not know, and no user namespace can be "
            "opened here. Run lrs-bridge as a user who stands there, or set DATABASE_URL and REDIS_URL to servers of "
            "your own."
        )
    raise ServerFailed(
        "PostgreSQL does not run as root, and root may neither open a user namespace here nor become `nobody`. "
        "Run lrs-bridge as an ordinary user (in a container: --user 1000) on a --data-dir of that user, "
        "or set DATABASE_URL and REDIS_URL to servers of your own."
    )


def _ordinary_users() -> list[int]:
    return sorted(user.pw_uid for user in pwd.getpwall() if user.pw_uid != 0)


def _others(us: Identity) -> Iterator[Identity]:
    unshare, users = shutil.which("unshare"), _ordinary_users()
    if unshare and users:
        # Any will do; the highest is `nobody` on most machines.
        mapped = (f"--map-user={users[-1]}", f"--map-group={users[-1]}")
        yield Identity(us.uid, us.gid, (unshare, "--user", *mapped, "--"))
    setpriv = shutil.which("setpriv")
    if setpriv and us.uid == 0:
        nobody = pwd.getpwnam("nobody")
        user = (f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
        passage = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
        yield Identity(nobody.pw_uid, nobody.pw_gid, (setpriv, *user, *passage, "--"))


def _works(identity: Identity, directory: Path, program: Path) -> bool:
    reach = "import os, sys; os.chdir(sys.argv[1]); os.execv(sys.argv[2], [sys.argv[2], '--version'])"
    command = [*identity.prefix, sys.executable, "-I", "-S", "-c", reach, str(directory), str(program)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
