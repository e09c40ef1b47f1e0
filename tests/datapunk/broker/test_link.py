"""Connecting to a real RabbitMQ, and losing it."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import pytest
from pamqp import commands as amqp

from datapunk.broker.link import Link
from datapunk.broker.properties import Properties
from datapunk.errors import BrokerError, ConfigurationError, ConnectionLost
from tests.datapunk.broker.conftest import OpenLink, queue_of, take
from tests.management import Management
from tests.proxy import proxy_to

DEADLINE_S = 60.0


def with_other(url: str, **parts: str) -> str:
    split = urlsplit(url)
    user, password = parts.get("user", split.username), parts.get("password", split.password)
    netloc = f"{user}:{password}@{split.hostname}:{parts.get('port', split.port)}"
    return split._replace(netloc=netloc, path=parts.get("path", split.path)).geturl()


async def test_a_wrong_password_is_refused_with_what_to_check(broker_url: str) -> None:
    with pytest.raises(ConnectionLost, match=r"ACCESS_REFUSED.*check the user, the password"):
        await Link.open(with_other(broker_url, password="wrong"))


async def test_a_virtual_host_that_is_not_there_is_named(broker_url: str) -> None:
    with pytest.raises(ConnectionLost, match=r"no-such-place.*check .* the virtual host"):
        await Link.open(with_other(broker_url, path="/no-such-place"))


async def test_where_nobody_listens_the_address_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionLost, match=f"no broker answers at 127.0.0.1:{port}"):
        await Link.open(f"amqp://guest:guest@127.0.0.1:{port}/")


async def test_a_server_that_speaks_something_else_is_told_apart() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionLost, match="makes no sense"):
            await Link.open(f"amqp://guest:guest@127.0.0.1:{port}/")


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "amqp:///", "nonsense"])
async def test_what_is_no_amqp_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        await Link.open(url)


async def test_names_and_passwords_may_have_any_characters(broker_url: str, management: Management) -> None:
    management.create_user("an/odd user", "a@b:c/ü%")
    try:
        link = await Link.open(with_other(broker_url, user="an%2Fodd%20user", password="a%40b%3Ac%2F%C3%BC%25"))
        await link.close()
    finally:
        management.delete_user("an/odd user")


async def test_closing_waits_until_what_was_written_has_arrived(open_link: OpenLink) -> None:
    link, other = await open_link(), await open_link()
    reader = await other.channel()
    await queue_of(reader)
    writer = await link.channel()
    for _ in range(500):
        writer.publish("", "queue", Properties(), b"x" * 1000)
    writer.flush()
    await link.close()
    await reader.consume("queue", "c")
    assert len(await take(reader, 500)) == 500


async def test_whoever_waits_on_a_killed_connection_is_told(open_link: OpenLink, management: Management) -> None:
    link = await open_link("killed")
    consuming, publishing = await link.channel(), await link.channel(confirms=True)
    await queue_of(consuming)
    await consuming.consume("queue", "c")
    publishing.publish("", "queue", Properties(), b"1")
    await publishing.confirmed(publishing.flush())
    assert [delivery.body for delivery in await take(consuming, 1)] == [b"1"]
    waiting = [
        asyncio.ensure_future(consuming.take(1, 0.0)),
        asyncio.ensure_future(publishing.confirmed(publishing.flush() + 1)),
        asyncio.ensure_future(asyncio.shield(link.closed)),
    ]
    await management.kill_connection("killed")
    async with asyncio.timeout(DEADLINE_S):
        taken, confirmed, closed = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(taken, ConnectionLost)
    assert isinstance(confirmed, ConnectionLost)
    assert "killed by a test" in str(closed)
    with pytest.raises(ConnectionLost):
        publishing.flush()
    with pytest.raises(ConnectionLost):
        await link.channel()


async def test_a_broker_that_falls_silent_is_given_up(broker_url: str) -> None:
    async with proxy_to(broker_url) as proxy:
        link = await Link.open(proxy.url, heartbeat_s=1)
        channel = await link.channel()
        await queue_of(channel)
        await channel.consume("queue", "c")
        proxy.fall_silent()
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(ConnectionLost, match="silent for 2 s"):
                await channel.take(1, 0.0)


async def test_a_broker_that_never_answers_the_greeting_is_given_up(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datapunk.broker.link.CONNECT_TIMEOUT_S", 0.5)
    async with proxy_to(broker_url) as proxy:
        proxy.fall_silent()
        with pytest.raises(ConnectionLost, match=r"no broker answers .* is it up\?"):
            await Link.open(proxy.url)


async def test_an_idle_connection_stays_up_by_heartbeats(open_link: OpenLink) -> None:
    link = await open_link(heartbeat_s=1)
    closed, _ = await asyncio.wait({link.closed}, timeout=3.5)  # the broker would give up after 2 s of silence
    assert not closed
    await queue_of(await link.channel())


async def test_the_number_of_a_channel_that_the_broker_closed_is_had_again(link: Link) -> None:
    for _ in range(3):
        channel = await link.channel()
        with pytest.raises(BrokerError, match="no queue"):
            await channel.ask(amqp.Queue.Declare(queue="no.such.queue", passive=True))
        assert channel.number == 1
    assert (await link.channel()).number == 1
