"""A bad network between workers and their servers: Toxiproxy, driven by its HTTP API.

What its toxics do: https://github.com/Shopify/toxiproxy#toxics
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from datapunk.stack.ports import LOOPBACK, free_ports
from tests.own_stack import wait_until
from tests.working import DEADLINE_S, eventually

PROGRAM = Path(__file__).parents[2] / ".tools/bin/toxiproxy"  # put there by ops/install.sh --with-checks


@dataclass(frozen=True)
class Toxic:
    """One thing that is bad about a connection.

    Attributes:
        type: as Toxiproxy names it.
        attributes: as it names them; times are in ms, sizes in bytes, rates in KB/s.
        streams: `upstream` is what the worker says, `downstream` what the server does.
    """

    type: str
    attributes: dict[str, int]
    streams: tuple[str, ...] = ("upstream", "downstream")


CUTS = (
    # Odd numbers of bytes, so that what is cut is a frame, a message or a row.
    Toxic("limit_data", {"bytes": 20_011}, ("upstream",)),
    Toxic("limit_data", {"bytes": 20_011}, ("downstream",)),
    Toxic("reset_peer", {"timeout": 50}, ("downstream",)),
)
SLOWNESS = (
    Toxic("latency", {"latency": 20, "jitter": 20}),
    Toxic("slicer", {"average_size": 500, "size_variation": 250, "delay": 10}),
    Toxic("bandwidth", {"rate": 500}),
)
SILENCE = (Toxic("timeout", {"timeout": 0}),)  # it never ends: nothing arrives, and nobody says so


class Toxiproxy:
    """Made by `running_toxiproxy`."""

    def __init__(self, api: httpx.Client, log: Path) -> None:
        self._api = api
        self._log = log

    def line_to(self, url: str, name: str) -> Line:
        """A way to a server that may be made worse."""
        place = urlsplit(url)
        settings = {"name": name, "listen": f"{LOOPBACK}:0", "upstream": f"{place.hostname}:{place.port}"}
        made = self._api.post("/proxies", json=settings).raise_for_status().json()
        user, _, _ = place.netloc.rpartition("@")
        port = made["listen"].rpartition(":")[2]
        return Line(name, place._replace(netloc=f"{user}@{LOOPBACK}:{port}").geturl(), self._api, self._log)


@dataclass
class Line:
    """Made by `Toxiproxy.line_to`: a server's URL, by way of the proxy."""

    name: str
    url: str
    _api: httpx.Client
    _log: Path

    @asynccontextmanager
    async def being(self, toxics: Sequence[Toxic]) -> AsyncGenerator[None]:
        """Bad in these ways, for as long as the block lasts; for connections that are open, and for new ones."""
        names = [f"{toxic.type}_{stream}" for toxic in toxics for stream in toxic.streams]
        for toxic in toxics:
            for stream in toxic.streams:
                await self._ask(
                    "POST",
                    "/toxics",
                    {
                        "name": f"{toxic.type}_{stream}",
                        "type": toxic.type,
                        "stream": stream,
                        "attributes": toxic.attributes,
                    },
                )
        try:
            yield
        finally:
            for name in names:
                await self._ask("DELETE", f"/toxics/{name}")

    async def cut(self, toxic: Toxic) -> None:
        """End connections by a toxic that does so; when this returns, somebody has been cut off and came again."""
        before = self._opened()

        async def came_again() -> bool:
            return self._opened() > before

        async with self.being([toxic]):
            await eventually(came_again, f"a new connection to {self.name}")

    def _opened(self) -> int:
        """How many connections came so far."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.endswith("}")]
        return sum(line.get("message") == "Accepted client" and line.get("name") == self.name for line in lines)

    async def _ask(self, method: str, path: str, body: object = None) -> None:
        answer = await asyncio.to_thread(self._api.request, method, f"/proxies/{self.name}{path}", json=body)
        answer.raise_for_status()


@contextmanager
def running_toxiproxy(folder: Path) -> Generator[Toxiproxy]:
    """A proxy server that keeps its log in a folder."""
    port, log = free_ports(1)[0], folder / "toxiproxy.log"
    with log.open("wb") as output, httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=DEADLINE_S) as api:

        def answers() -> bool:
            try:
                return api.get("/version").is_success
            except httpx.TransportError:
                return False

        server = subprocess.Popen([PROGRAM, "-host", LOOPBACK, "-port", str(port)], stdout=output, stderr=output)
        try:
            wait_until(answers)
            yield Toxiproxy(api, log)
        finally:
            server.kill()
            server.wait()
