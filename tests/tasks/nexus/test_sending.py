"""A delivery goes where it may, takes no longer than it may, and is read no further than it must."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.responses import RedirectResponse, Response, StreamingResponse

from tasks.nexus.sending import MAX_ANSWER_BYTES, Sender, Undelivered
from tasks.nexus.settings import WebhookSettings
from tests.receiving import Received, Receiver

HEADERS = {"webhook-id": "1"}


async def send(url: str, settings: WebhookSettings | None = None) -> int:
    sender = Sender(settings or WebhookSettings(), 2)
    try:
        return await sender.send(url, HEADERS, b"{}")
    finally:
        await sender.close()


async def test_what_is_answered_well_is_delivered(receiver: Receiver) -> None:
    assert await send(f"{receiver.url}/hook?team=7") == 204
    (request,) = receiver.received
    assert (request.path, request.body, request.headers["webhook-id"]) == ("/hook", b"{}", "1")
    assert request.headers["host"] == receiver.url.removeprefix("http://")


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
async def test_any_other_answer_is_a_failure(receiver: Receiver, status: int) -> None:
    async def refuse(_: Received) -> Response:
        return Response(status_code=status)

    receiver.answer = refuse
    with pytest.raises(Undelivered, match=f"it answered {status}"):
        await send(receiver.url)


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    async def redirect(_: Received) -> Response:
        return RedirectResponse("/elsewhere", status_code=307)

    receiver.answer = redirect
    with pytest.raises(Undelivered, match="it answered 307, and redirects aren't followed"):
        await send(f"{receiver.url}/hook")
    assert [each.path for each in receiver.received] == ["/hook"]


async def test_an_answer_without_end_is_read_no_further(receiver: Receiver) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield b"x" * 10_000
            await asyncio.sleep(0)

    async def answer(_: Received) -> Response:
        return StreamingResponse(endless())

    receiver.answer = answer
    assert await send(receiver.url) == 200
    assert sent > MAX_ANSWER_BYTES


async def test_no_answer_in_time_is_a_failure(receiver: Receiver) -> None:
    enough = asyncio.Event()

    async def dawdle(_: Received) -> Response:
        await enough.wait()
        return Response()

    receiver.answer = dawdle
    with pytest.raises(Undelivered, match=r"no answer within 0\.3 s"):
        await send(receiver.url, WebhookSettings(timeout_s=0.3))
    enough.set()


async def test_an_answer_that_comes_drop_by_drop_is_a_failure() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Undelivered, match="no answer within"):
            await send(f"http://127.0.0.1:{port}", WebhookSettings(timeout_s=0.3))


async def test_what_is_no_http_is_a_failure() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Undelivered, match="RemoteProtocolError"):
            await send(f"http://127.0.0.1:{port}")


async def test_a_closed_port_and_an_unknown_host_are_failures() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(Undelivered, match="ConnectError"):
            await send(f"http://127.0.0.1:{port}")
    with pytest.raises(Undelivered, match="can't be looked up"):
        await send("http://nobody.invalid/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"])
async def test_an_address_that_is_not_public_is_not_reached_however_it_is_written(
    receiver: Receiver, host: str
) -> None:
    port = receiver.url.rpartition(":")[2]
    with pytest.raises(Undelivered, match="which isn't public"):
        await send(f"http://{host}:{port}/", WebhookSettings(allowed_networks=()))
    assert receiver.received == []


async def test_http_is_not_delivered_to_unless_allowed(receiver: Receiver) -> None:
    with pytest.raises(Undelivered, match="only https is delivered to"):
        await send(receiver.url, WebhookSettings(allow_http=False))
    assert receiver.received == []


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    async def nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Undelivered, match="ConnectError"):
            await send(f"https://127.0.0.1:{port}")
