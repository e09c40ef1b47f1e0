"""What the commands that send and receive messages share: finding types, reading `--data`, printing."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from datapunk.errors import UndecodableMessage
from datapunk.messages.catalogue import Catalogue, MessageType
from datapunk.messages.codec import AVRO_JSON
from datapunk.messages.message import Message
from datapunk.messages.registry import Registry
from datapunk.module import find_modules
from datapunk.settings import Settings, load_settings
from datapunk.telemetry import traces

# Exit statuses, so that scripts can tell one ending from another; 1 is any error, 2 wrong usage.
REJECTED, FAILED = 3, 4

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Tenant = Annotated[str | None, typer.Option(help="Whose; by default DATAPUNK_DEFAULT_TENANT.")]
Avro = Annotated[bool, typer.Option("--avro", help="--data is Avro JSON, and nothing else.")]
TimeoutS = Annotated[float, typer.Option("--timeout", min=0.1, max=3600, help="Seconds to wait for the reply.")]


@dataclass(frozen=True)
class Session:
    """What a command of this kind works with."""

    settings: Settings
    registry: Registry
    catalogue: Catalogue


def open_session() -> Session:
    """Load the settings and all installed modules.

    Raises:
        ConfigurationError: if one of them is wrong.
    """
    settings = load_settings()
    modules = list(find_modules().values())
    registry = Registry.of(modules)
    return Session(settings, registry, Catalogue(registry, modules))


def read_data(data: str) -> bytes:
    """The text of `--data`: itself, `@file`, or `-` for standard input.

    Raises:
        typer.BadParameter: if the file can't be read.
    """
    if data == "-":
        return sys.stdin.buffer.read()
    if not data.startswith("@"):
        return data.encode(errors="surrogateescape")  # as the shell handed it over
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"can't read {data[1:]}: {error.strerror or error}") from None


def decode_data(data: bytes, type: MessageType, registry: Registry, *, is_avro: bool) -> Message:
    """A message from plain JSON; what isn't valid as such is tried as Avro JSON.

    Args:
        data: the text.
        type: what it should be.
        registry: knows Avro JSON.
        is_avro: it's Avro JSON, and nothing else.

    Raises:
        UndecodableMessage: with what is wrong with it as plain JSON (or as Avro JSON, if that was said).
    """
    _check_json(data)
    if is_avro:
        return registry.decode(type.name, data, AVRO_JSON, None)
    try:
        return type.plain.decode(data)
    except UndecodableMessage as error:
        try:
            return registry.decode(type.name, data, AVRO_JSON, None)
        except UndecodableMessage:
            raise error from None


def _check_json(data: bytes) -> None:
    """Tell where the text stops being JSON; a person finds a line and a column sooner than a byte."""
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UndecodableMessage(f"--data is not JSON: {place}: {error.msg[0].lower()}{error.msg[1:]}") from None
    except (UnicodeDecodeError, RecursionError, ValueError):
        return  # what reads it for good says more about these


@contextmanager
def traced(settings: Settings, command: str) -> Generator[None]:
    """One span around what a command does, sent before it ends; nothing without a collector."""
    traces.configure(settings, f"datapunk {command}")
    try:
        with traces.span(command):
            yield
    finally:
        traces.shutdown()


def print_json(value: Any) -> None:
    """One JSON value on a line of standard output; bytes are JSON already."""
    sys.stdout.write((value if isinstance(value, bytes) else msgspec.json.encode(value)).decode() + "\n")
    sys.stdout.flush()


def out() -> Console:
    """Where people read."""
    return Console(highlight=False, soft_wrap=True)
