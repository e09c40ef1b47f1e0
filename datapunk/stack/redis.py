"""Redis, from the system's package manager; every write in an append-only file."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import redis

from datapunk.errors import NotAnswering
from datapunk.stack.part import Command, Part, Port
from datapunk.stack.programs import find_program, missing

_ANSWER_WITHIN_S = 3


class Redis(Part):
    """Redis 7 or later.

    Args:
        url: where it will be served: the port counts.
        home: the data folder.
        throwaway: nothing is written to disk.
    """

    name = "redis"
    title = "Redis"

    def __init__(self, home: Path, url: str, *, throwaway: bool = False) -> None:
        super().__init__(home, throwaway=throwaway)
        self.url = url

    @property
    def ports(self) -> tuple[Port, ...]:
        """One."""
        return (Port(urlsplit(self.url).port or 6379, "Redis", "DATAPUNK_REDIS_URL"),)

    @property
    def where(self) -> str:
        """The URL."""
        return self.url

    @property
    def endpoints(self) -> Mapping[str, str]:
        """Redis' URL."""
        return {"DATAPUNK_REDIS_URL": self.url}

    def installed(self) -> str:
        """See `Part.installed`."""
        answer = subprocess.run(  # noqa: S603
            [str(_program()), "--version"], capture_output=True, text=True, check=False
        )
        words = answer.stdout.split()
        return next((word.removeprefix("v=") for word in words if word.startswith("v=")), "")

    def prepare(self) -> tuple[Command, ...]:
        """See `Part.prepare`."""
        program = _program()
        home = self.home.absolute()
        home.mkdir(parents=True, exist_ok=True)
        options = {
            "port": str(self.ports[0].number),
            "bind": "127.0.0.1",
            "dir": str(home),
            "save": "",
            "appendonly": "no" if self.throwaway else "yes",
            "daemonize": "no",
        }
        return (Command((str(program), *(word for name, value in options.items() for word in (f"--{name}", value)))),)

    def ask(self) -> str:
        """See `Part.ask`."""
        return ask_redis(self.url)


def ask_redis(url: str) -> str:
    """PING the server at `url`, and return its version.

    Raises:
        NotAnswering: nothing answers there, it refuses us, or it's still loading its data.
    """
    try:
        with redis.Redis.from_url(url, socket_timeout=_ANSWER_WITHIN_S) as client:  # pyright: ignore[reportUnknownMemberType]  # untyped **kwargs
            client.ping()  # pyright: ignore[reportUnknownMemberType]
            information = client.info("server")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    except redis.RedisError as error:
        raise NotAnswering(f"Redis at {url}: {error}") from None
    return str(information["redis_version"])  # pyright: ignore


def _program() -> Path:
    program = find_program("redis-server")
    if program is None:
        raise missing("Redis", debian="sudo apt-get install redis-server", macos="brew install redis")
    return program
