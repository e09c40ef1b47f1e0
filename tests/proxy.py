"""A TCP proxy for tests: stands between a client and a server, and goes away when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from datapunk.stack.ports import free_ports


class Proxy:
    """Made by `proxy_to`."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        (self._port,) = free_ports(1)  # so that none takes it while this is disconnected
        self._open = asyncio.Event()
        self._open.set()

    @property
    def url(self) -> str:
        """The server's URL, through here."""
        user, _, _ = self._target.netloc.rpartition("@")
        return self._target._replace(netloc=f"{user}@127.0.0.1:{self._port}").geturl()

    async def connect(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def disconnect(self) -> None:
        """End all connections, and refuse new ones."""
        assert self._server is not None  # it was connected
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def fall_silent(self) -> None:
        """Keep connections, and let nothing through any more."""
        self._open.clear()

    def forget_connections(self) -> None:
        """Keep those that are open, and let nothing through them any more; new ones are as before."""
        self._open.clear()
        self._open = asyncio.Event()
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            out_reader, out_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
            self._writers |= {writer, out_writer}
            is_open = self._open
            await asyncio.gather(
                self._copy(reader, out_writer, is_open),
                self._copy(out_reader, writer, is_open),
            )
            self._writers -= {writer, out_writer}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_open: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await is_open.wait()
                writer.write(data)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.close()


@asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[Proxy]:
    """A proxy to a server, connected."""
    proxy = Proxy(url)
    await proxy.connect()
    try:
        yield proxy
    finally:
        await proxy.disconnect()
