"""The compose launcher: the same parts as containers, where a container engine answers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec

from datapunk.errors import PartFailed, PartMissing
from datapunk.settings import Settings
from datapunk.stack.asking import SERVERS
from datapunk.stack.endpoints import remove_endpoints, save_endpoints
from datapunk.stack.launcher import Launcher, OnChange
from datapunk.stack.plan import METRICS_PORT, STREAM_PORT, TEMPORAL_METRICS_PORT, chosen, user_settings
from datapunk.stack.record import PartState, PartStatus, StackRecord, remove_record, save_record

FILE_NAME = "compose.yaml"

# The first start pulls images; without anything to pull it's a matter of seconds.
READY_WITHIN_S = 600

_ENGINE_ANSWERS_WITHIN_S = 5
_LOOK_AGAIN_S = 0.5


class ComposeLauncher(Launcher):
    """Containers, by the `compose.yaml` of the working folder; data in named volumes."""

    name: ClassVar[Literal["native", "compose"]] = "compose"

    def is_possible(self) -> bool:
        """Whether there's a compose file here, Docker's client with compose, and an engine that answers."""
        if not Path(FILE_NAME).exists() or shutil.which("docker") is None:
            return False
        return all(_succeeds(*arguments) for arguments in (("compose", "version"), ("info",)))

    def current(self) -> StackRecord | None:
        """See `Launcher.current`; asks the engine."""
        if not self.is_possible():
            return None
        settings = user_settings()
        rows = _rows(_compose(settings, "ps", "--all", "--format", "json"))
        parts = tuple(_status(row, settings) for row in rows if row.get("Service") in SERVERS)
        if not any(part.state in (PartState.READY, PartState.STARTING) for part in parts):
            return None
        return StackRecord(
            launcher=self.name,
            parts=parts,
            endpoints=endpoints_of(settings),
            is_complete=all(part.state is PartState.READY for part in parts),
        )

    def start(self, only: Collection[str], on_change: OnChange) -> StackRecord:
        """See `Launcher.start`."""
        if not self.is_possible():
            raise PartMissing(
                f"DATAPUNK_STACK=compose needs a {FILE_NAME} here, `docker compose`, and an engine that "
                "answers `docker info`; or unset it to start the servers natively"
            )
        settings, names = user_settings(), chosen(only)
        self.directory.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        arguments = _command("up", "--detach", "--wait", "--wait-timeout", str(READY_WITHIN_S), *names)
        process = subprocess.Popen(  # noqa: S603
            arguments,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(settings),
        )
        complaints: list[str] = []
        reader = threading.Thread(target=lambda: complaints.extend(process.stderr or ()), daemon=True)
        reader.start()
        while process.poll() is None:
            if (record := self.current()) is not None:
                on_change(record)
            time.sleep(_LOOK_AGAIN_S)
        reader.join()
        if process.returncode != 0:
            raise PartFailed("docker compose up failed:\n" + "".join(f"  | {line}" for line in complaints[-12:]))
        record = self.current() or StackRecord(launcher=self.name, endpoints=endpoints_of(settings))
        seconds = time.monotonic() - began
        parts = tuple(msgspec.structs.replace(part, seconds=seconds) for part in record.parts)
        record = msgspec.structs.replace(record, parts=parts)
        save_endpoints(self.directory, record.endpoints)
        save_record(self.directory, record)
        on_change(record)
        return record

    def wait(self, on_change: OnChange) -> StackRecord:
        """See `Launcher.wait`: `up` waits for what somebody else started, too."""
        return self.start((), on_change)

    def run(self, only: Collection[str], on_change: OnChange, on_ready: OnChange) -> None:
        """See `Launcher.run`."""
        try:
            on_ready(self.start(only, on_change))
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.default_int_handler)
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()
        finally:
            self.stop()

    def stop(self) -> list[str]:
        """See `Launcher.stop`: the containers go, the volumes stay."""
        record = self.current()
        if self.is_possible():
            _compose(user_settings(), "down", "--remove-orphans")
        remove_endpoints(self.directory)
        remove_record(self.directory)
        return [part.title for part in record.parts] if record else []

    def logs(self, names: Collection[str], lines: int, *, follow: bool) -> Iterator[tuple[str, str]]:
        """See `Launcher.logs`."""
        for name in names if not follow else ():
            arguments = ("logs", "--no-log-prefix", "--tail", str(lines), name)
            yield from ((name, line) for line in _compose(user_settings(), *arguments).splitlines())
        if follow:
            arguments = _command("logs", "--follow", "--no-color", "--tail", str(lines), *names)
            process = subprocess.Popen(  # noqa: S603
                arguments, stdout=subprocess.PIPE, text=True, env=_environment(user_settings())
            )
            for line in process.stdout or ():
                name, _, text = line.rstrip("\n").partition("|")
                yield name.strip().rpartition("-")[0] or name.strip(), text.removeprefix(" ")


def endpoints_of(settings: Settings) -> dict[str, str]:
    """Where the containers' ports are published, as `DATAPUNK_*` variables."""
    addresses = {
        f"DATAPUNK_{setting.upper()}": str(getattr(settings, setting))
        for server in SERVERS.values()
        for setting in server.settings
    }
    return addresses | {
        "DATAPUNK_BROKER_STREAM_URL": f"rabbitmq-stream://guest:guest@127.0.0.1:{STREAM_PORT}/",
        "DATAPUNK_BROKER_METRICS_URL": f"http://127.0.0.1:{METRICS_PORT}/metrics",
        "DATAPUNK_TEMPORAL_METRICS_URL": f"http://127.0.0.1:{TEMPORAL_METRICS_PORT}/metrics",
    }


def published_ports(settings: Settings) -> dict[str, str]:
    """The host ports of the settings' URLs, as the variables that `compose.yaml` reads."""
    urls = {
        "DATAPUNK_BROKER_PORT": settings.broker_url,
        "DATAPUNK_BROKER_MANAGEMENT_PORT": settings.broker_management_url,
        "DATAPUNK_DATABASE_PORT": settings.database_url,
        "DATAPUNK_REDIS_PORT": settings.redis_url,
        "DATAPUNK_TEMPORAL_PORT": f"//{settings.temporal_address}",
        "DATAPUNK_TEMPORAL_UI_PORT": settings.temporal_ui_url,
    }
    return {name: str(port) for name, url in urls.items() if (port := urlsplit(url).port) is not None}


def _status(row: Mapping[str, Any], settings: Settings) -> PartStatus:
    server = SERVERS[str(row["Service"])]
    is_healthy, is_running = row.get("Health") in ("healthy", ""), row.get("State") == "running"
    if is_running:
        state = PartState.READY if is_healthy else PartState.STARTING
    else:
        state = PartState.STARTING if row.get("State") == "created" else PartState.FAILED
    version = str(row.get("Image", "")).rpartition(":")[2]
    where = "\nUI ".join(str(getattr(settings, setting)) for setting in server.settings)
    return PartStatus(name=server.name, title=server.title, where=where, state=state, version=version)


def _rows(output: str) -> list[dict[str, Any]]:
    """Compose's JSON: one object a line, or (older) one array."""
    text = output.strip()
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


def _command(*arguments: str) -> list[str]:
    return ["docker", "compose", "--file", FILE_NAME, *arguments]


def _environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, **published_ports(settings)}


def _compose(settings: Settings, *arguments: str) -> str:
    answer = subprocess.run(  # noqa: S603
        _command(*arguments), capture_output=True, text=True, check=False, env=_environment(settings)
    )
    if answer.returncode != 0:
        raise PartFailed(f"docker compose {arguments[0]} failed: {answer.stderr.strip()}")
    return answer.stdout


def _succeeds(*arguments: str) -> bool:
    try:
        answer = subprocess.run(  # noqa: S603
            ["docker", *arguments],  # noqa: S607
            capture_output=True,
            check=False,
            timeout=_ENGINE_ANSWERS_WITHIN_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0
