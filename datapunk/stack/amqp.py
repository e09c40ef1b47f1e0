"""Asking a RabbitMQ whether it's there, by a real AMQP 0-9-1 handshake and a call of its HTTP API."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
from typing import Any, TypeVar, cast
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame, header
from pamqp.exceptions import PAMQPException, UnmarshalingException

from datapunk.errors import NotAnswering

_ANSWER_WITHIN_S = 5

F = TypeVar("F")


def ask_rabbitmq(url: str) -> str:
    """Log in at `url`, open its virtual host, and return the broker's version.

    Raises:
        NotAnswering: nothing answers there, or it refuses us.
    """
    place = urlsplit(url)
    user, password = unquote(place.username or "guest"), unquote(place.password or "guest")
    vhost = unquote(place.path[1:]) or "/"
    is_tls = place.scheme == "amqps"
    address = (place.hostname or "127.0.0.1", place.port or (5671 if is_tls else 5672))
    try:
        with socket.create_connection(address, timeout=_ANSWER_WITHIN_S) as plain:
            stream = ssl.create_default_context().wrap_socket(plain, server_hostname=address[0]) if is_tls else plain
            stream.sendall(header.ProtocolHeader().marshal())
            start = _receive(stream, commands.Connection.Start)
            # With this capability a wrong password is answered by a reason instead of a cut connection.
            properties: dict[str, Any] = {"capabilities": {"authentication_failure_close": True}}
            login = commands.Connection.StartOk(properties, "PLAIN", f"\0{user}\0{password}")
            _send(stream, login)
            tune = _receive(stream, commands.Connection.Tune)
            _send(stream, commands.Connection.TuneOk(tune.channel_max, tune.frame_max, 0))
            _send(stream, commands.Connection.Open(virtual_host=vhost))
            _receive(stream, commands.Connection.OpenOk)
            _send(stream, commands.Connection.Close(200, "goodbye", 0, 0))
            _receive(stream, commands.Connection.CloseOk)
    except (OSError, PAMQPException) as error:
        raise NotAnswering(f"RabbitMQ at {place.hostname}:{place.port}: {error}") from None
    version = cast("dict[str, Any]", start.server_properties).get("version", "")
    return version.decode() if isinstance(version, bytes) else str(version)


def ask_rabbitmq_management(url: str) -> str:
    """Call the HTTP API at `url`, and return the broker's version.

    Raises:
        NotAnswering: nothing answers there, or it refuses us.
    """
    place = urlsplit(url)
    host = place.hostname or "127.0.0.1"
    opener = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = opener(host, place.port, timeout=_ANSWER_WITHIN_S)
    credentials = f"{unquote(place.username or 'guest')}:{unquote(place.password or 'guest')}"
    try:
        token = base64.b64encode(credentials.encode()).decode()
        connection.request("GET", "/api/overview", headers={"Authorization": f"Basic {token}"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotAnswering(f"RabbitMQ's HTTP API at {host}:{place.port}: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise NotAnswering(f"RabbitMQ's HTTP API at {host}:{place.port} answered {answer.status} {answer.reason}")
    return str(json.loads(body)["rabbitmq_version"])


def _send(stream: socket.socket, method: Any) -> None:
    stream.sendall(frame.marshal(method, 0))


def _receive(stream: socket.socket, expected: type[F]) -> F:
    """The next method, which must be `expected`; an answer of another kind is a refusal."""
    data = bytearray()
    while True:
        more = stream.recv(65536)
        if not more:
            raise ConnectionResetError("the connection was closed during the handshake")
        data += more
        try:
            _, _, method = frame.unmarshal(bytes(data))
        except UnmarshalingException:
            continue  # not all of it yet
        if isinstance(method, expected):
            return method
        if isinstance(method, commands.Connection.Close):
            raise ConnectionRefusedError(f"{method.reply_code} {method.reply_text}")
        raise ConnectionAbortedError(f"{method} instead of {expected.__name__}")
