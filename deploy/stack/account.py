"""Under which account PostgreSQL runs: it refuses root, and an ordinary user needs nothing.

As root it is started in a user namespace where root shows as `nobody` (its files stay root's). Where namespaces
cannot be made (a chroot, most containers) it runs as `nobody`, and its folder is given to that user.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deploy.stack.errors import StackError


@dataclass(frozen=True, slots=True)
class Account:
    """What to put before a command that must not run as root; `owner` is (uid, gid) of its files, None: ours."""

    prefix: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None

    def give(self, folder: Path) -> None:
        """Make `folder` and all in it belong to the account."""
        if self.owner is None:
            return
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, *self.owner, follow_symlinks=False)

    def may_write(self, folder: Path) -> bool:
        """Whether the account may write into `folder`."""
        check = [*self.prefix, "test", "-w", str(folder)]
        return subprocess.run(check, capture_output=True, check=False).returncode == 0

    def require_access(self, folder: Path, program: Path) -> None:
        """Refuse a place that the account cannot reach, such as a checkout in somebody's private home."""
        check = f'test -x "{program}" && test -w "{folder}"'
        if (
            subprocess.run([*self.prefix, "sh", "-c", check], capture_output=True, check=False).returncode
            != 0
        ):
            raise StackError(
                f"PostgreSQL does not run as root, and without root's rights {folder} or {program} is not to be "
                "reached: run the command as the owner of these folders, without sudo; or set NENGLIU_STATE_DIR and "
                "NENGLIU_PROGRAMS_DIR to folders that everybody may enter, such as under /var/lib"
            )


@cache
def database_account() -> Account:
    """The account of PostgreSQL on this machine, for the caller."""
    if os.geteuid() != 0:
        return Account()
    nobody = pwd.getpwnam("nobody")
    namespace = ("unshare", "-U", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}", "--")
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0:
        return Account(namespace)
    switch = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--")
    return Account(switch, (nobody.pw_uid, nobody.pw_gid))
