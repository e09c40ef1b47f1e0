"""The system account that Postgres runs as when root starts Datapunk: Postgres refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from datapunk.errors import PartFailed

ACCOUNT_NAME = "datapunk"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine, by its numbers."""

    name: str
    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Whether this account may go into `path` (a folder) or run it (a file)."""
        test = shutil.which("test") or "/usr/bin/test"
        answer = subprocess.run(  # noqa: S603  # fixed program, a path of ours
            [test, "-x", str(path)], user=self.uid, group=self.gid, extra_groups=[], check=False
        )
        return answer.returncode == 0

    def take(self, path: Path) -> None:
        """Make this account the owner of `path`."""
        os.chown(path, self.uid, self.gid)


def unprivileged_account() -> Account | None:
    """Whom to run Postgres as: None (ourselves) unless we are root; then an account made for this purpose.

    Raises:
        PartFailed: the account is missing and could not be made.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        entry = _make()
    return Account(ACCOUNT_NAME, entry.pw_uid, entry.pw_gid)


def _make() -> pwd.struct_passwd:
    program = shutil.which("useradd")
    remedy = f"make a system user called {ACCOUNT_NAME!r}, or run as an ordinary user"
    if program is None:
        raise PartFailed(f"PostgreSQL refuses to run as root, and there is no useradd here: {remedy}")
    arguments = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
    answer = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    try:
        # Somebody else may have made it in the meantime: what counts is that it's there.
        return pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        raise PartFailed(
            f"PostgreSQL refuses to run as root, and useradd failed ({answer.stderr.strip()}): {remedy}"
        ) from None
