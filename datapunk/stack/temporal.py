"""Temporal's development server with its web UI; the CLI from PATH, Go's folder, or the SDK's downloader."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from datapunk.errors import NotAnswering, PartMissing
from datapunk.stack.part import Command, Part, Port
from datapunk.stack.programs import INSTALLER, find_program

# The newest CLI that `go install` can build; later ones carry replace directives.
GO_PACKAGE = "github.com/temporalio/cli/cmd/temporal@v1.5.1"

_ANSWER_WITHIN_S = 3
_DOWNLOAD_WITHIN_S = 300


class Temporal(Part):
    """Temporal's dev server; workflows survive restarts in an SQLite file.

    Args:
        address: host:port of its gRPC front end: the port counts.
        ui_url: its web UI: the port counts.
        home: the data folder.
        downloads: where the SDK puts a CLI that it had to download.
    """

    name = "temporal"
    title = "Temporal"

    def __init__(
        self,
        home: Path,
        address: str,
        ui_url: str,
        metrics_port: int,
        *,
        downloads: Path,
        throwaway: bool = False,
    ) -> None:
        super().__init__(home, throwaway=throwaway)
        self.address = address
        self.ui_url = ui_url
        self.metrics_port = metrics_port
        self.downloads = downloads

    @property
    def ports(self) -> tuple[Port, ...]:
        """The gRPC front end's, the UI's, and the metrics'."""
        return (
            Port(int(self.address.rpartition(":")[2]), "Temporal", "DATAPUNK_TEMPORAL_ADDRESS"),
            Port(urlsplit(self.ui_url).port or 80, "Temporal's web UI", "DATAPUNK_TEMPORAL_UI_URL"),
            Port(self.metrics_port, "Temporal's metrics", ""),
        )

    @property
    def where(self) -> str:
        """The front end's address, and the UI's URL."""
        return f"{self.address}\nUI {self.ui_url}"

    @property
    def endpoints(self) -> Mapping[str, str]:
        """Front end, UI and metrics."""
        return {
            "DATAPUNK_TEMPORAL_ADDRESS": self.address,
            "DATAPUNK_TEMPORAL_UI_URL": self.ui_url,
            "DATAPUNK_TEMPORAL_METRICS_URL": f"http://127.0.0.1:{self.metrics_port}/metrics",
        }

    def installed(self) -> str:
        """See `Part.installed`."""
        program = _installed_program() or _downloaded_program(self.downloads)
        if program is None:
            raise _missing("")
        answer = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)  # noqa: S603
        # "temporal version 0.0.0-DEV (Server 1.29.1, UI 2.42.1)": the server's is what counts.
        return answer.stdout.partition("Server ")[2].partition(",")[0]

    def prepare(self) -> tuple[Command, ...]:
        """See `Part.prepare`; downloads the CLI when the machine has none."""
        program = _installed_program() or _downloaded_program(self.downloads) or _download(self.downloads)
        home = self.home.absolute()
        home.mkdir(parents=True, exist_ok=True)
        arguments = [
            *("--ip", "127.0.0.1"),
            *("--port", str(self.ports[0].number)),
            *("--ui-port", str(self.ports[1].number)),
            *("--metrics-port", str(self.metrics_port)),
            *("--log-level", "warn"),
        ]
        if not self.throwaway:
            arguments += ["--db-filename", str(home / "temporal.sqlite")]
        return (Command((str(program), "server", "start-dev", *arguments), {"HOME": str(home)}),)

    def ask(self) -> str:
        """See `Part.ask`."""
        return ask_temporal(self.address)


def ask_temporal(address: str) -> str:
    """Ask the gRPC health service and the system information at `address`; returns the server's version.

    Raises:
        NotAnswering: nothing answers there, or it says that it's not healthy.
    """
    host, _, port = address.rpartition(":")
    try:
        # Cheap, before a client library of some size is loaded and started.
        socket.create_connection((host, int(port)), timeout=_ANSWER_WITHIN_S).close()
        return asyncio.run(_ask(address))
    except (OSError, RuntimeError) as error:
        raise NotAnswering(f"Temporal at {address}: {error}") from None


async def _ask(address: str) -> str:
    from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
    from temporalio.service import ConnectConfig, ServiceClient

    within = timedelta(seconds=_ANSWER_WITHIN_S)
    client = await ServiceClient.connect(ConnectConfig(target_host=address, connect_timeout=within))
    if not await client.check_health(timeout=within):
        raise NotAnswering(f"Temporal at {address} says that it's not healthy")
    information = await client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=within)
    return information.server_version


def _installed_program() -> Path | None:
    go = [Path(folder) / "bin" for folder in os.environ.get("GOPATH", "").split(os.pathsep) if folder]
    return find_program("temporal") or find_program("temporal", also_in=[*go, Path.home() / "go" / "bin"])


def _downloaded_program(downloads: Path) -> Path | None:
    return next((path for path in sorted(downloads.glob("temporal*"), reverse=True) if os.access(path, os.X_OK)), None)


def _download(downloads: Path) -> Path:
    """Let the SDK fetch the CLI: it does so when it starts a server of its own, which is stopped at once."""
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(asyncio.wait_for(_start_and_stop(downloads), _DOWNLOAD_WITHIN_S))
    except (RuntimeError, TimeoutError) as error:
        raise _missing(f", and the SDK could not download it ({error or 'no answer in time'})") from None
    program = _downloaded_program(downloads)
    if program is None:
        raise _missing(f", and the SDK's download left nothing in {downloads}")
    return program


async def _start_and_stop(downloads: Path) -> None:
    from temporalio.testing import WorkflowEnvironment

    environment = await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType]
        download_dest_dir=str(downloads)
    )
    await environment.shutdown()


def _missing(detail: str) -> PartMissing:
    return PartMissing(
        f"Temporal's CLI is not installed{detail}. Run {INSTALLER} (it installs only what is missing), "
        f"or: go install {GO_PACKAGE}; macOS: brew install temporal"
    )
