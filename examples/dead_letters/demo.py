"""Publishes a message that can't be handled, finds it among the dead letters, mends it, and sees it applied.

`make demo` runs it; by hand it is `.venv/bin/python -m examples.dead_letters.demo`, while `datapunk up`
and `datapunk run --with workflows` run. What it does, it does by commands that anybody may type, and shows them.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aio_pika
import msgspec
from rich.console import Console

from datapunk.settings import Settings, load_settings

DATASET = "notes"
SCHEMA = {"type": "record", "name": "Note", "fields": [{"name": "text", "type": "string"}]}
CREATE = {"name": "Notes of the demo", "partitions": 1, "schema": SCHEMA}
CUT_OFF = rb'{"records": "[{\"text\": \"The weather at'
WHOLE = rb'{"records": "[{\"text\": \"The weather at JFK is fine\"}]"}'
PATIENCE_S, LOOK_S = 60.0, 0.3


class Failure(Exception):
    """The demo can't go on; the message says what to do."""


class Demo:
    """Breaks something, and mends it."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console

    async def run(self) -> None:
        """The whole of it."""
        self._console.print("\n[bold]A message that can't be handled, and what becomes of it")
        self._create()
        message_id = str(uuid4())
        await self._publish(message_id)
        self._say(f"Published to lake.commands, cut off: {CUT_OFF.decode()}")
        letter = self._find(message_id)
        self._show("dlq", "list", "--type", "lake.AppendRecords", "--state", "parked")
        with tempfile.TemporaryDirectory() as folder:
            body = Path(folder) / "body.json"
            body.write_bytes(WHOLE)
            why = ("--by", "demo", "--why", "it was cut off")
            self._show("dlq", "edit", letter, "--body", str(body), "--redrive", *why)
        self._wait_for("resolved", letter)
        self._show("dlq", "show", letter)
        self._show("query", "lake.FindRecords", "--json", "--data", _json({"dataset": DATASET, "limit": 1}))
        workflow = quote(f"DeadLetterWorkflow/{self._settings.default_tenant}/{letter}", safe="")
        place = f"namespaces/{self._settings.temporal_namespace}/workflows/{workflow}"
        self._say(f"\nIts workflow in Temporal: {self._settings.temporal_ui_url}/{place}")

    def _create(self) -> None:
        """The dataset; the second time it's there already."""
        arguments = ("--actor", DATASET, "--wait", "--data", _json(CREATE))
        self._datapunk("send", "lake.CreateDataset", *arguments, may_fail=True)

    async def _publish(self, message_id: str) -> None:
        """As a program with a defect would."""
        async with await aio_pika.connect(self._settings.broker_url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange("lake.commands", ensure=False)
            message = aio_pika.Message(
                CUT_OFF,
                message_id=message_id,
                type="lake.AppendRecords",
                headers={"actor-id": f"{DATASET}:0"},
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, "lake.AppendRecords")

    def _find(self, message_id: str) -> str:
        """The id of its dead letter, once it's parked."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            for letter in self._letters("--state", "parked"):
                if letter["message_id"] == message_id:
                    return str(letter["id"])
            time.sleep(LOOK_S)
        raise Failure("the message isn't among the dead letters: does `datapunk run --with workflows` run Nexus, too?")

    def _wait_for(self, state: str, id: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not any(letter["id"] == id for letter in self._letters("--state", state)):
            if time.monotonic() > until:
                raise Failure(f"the dead letter {id} isn't {state}; `datapunk dlq show {id}` says why")
            time.sleep(LOOK_S)

    def _letters(self, *options: str) -> list[dict[str, Any]]:
        answer = self._datapunk("dlq", "list", "--type", "lake.AppendRecords", *options, "--json")
        return list(msgspec.json.decode(answer))

    def _show(self, *arguments: str) -> None:
        """Run a command as a person would, and show both."""
        self._console.print(f"\n$ datapunk {shlex.join(arguments)}", style="bold", markup=False, soft_wrap=True)
        self._say(self._datapunk(*arguments).rstrip())

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _datapunk(self, *arguments: str, may_fail: bool = False) -> str:
        program = Path(sys.executable).with_name("datapunk")
        done = subprocess.run(  # noqa: S603  # ourselves
            [program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": str(self._console.width)},
        )
        if done.returncode and not may_fail:
            raise Failure(f"datapunk {shlex.join(arguments)}\n{done.stdout}{done.stderr}")
        return done.stdout


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def main() -> int:
    """The command line: 0 if all is well."""
    console = Console()
    try:
        asyncio.run(Demo(load_settings(), console).run())
    except (Failure, OSError) as error:
        console.print(f"\n{error}", style="red", soft_wrap=True, markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
