"""`datapunk dlq`: what people see and do with dead letters."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from actors.nexus.bodies import installed
from datapunk.settings import Settings
from schemas.nexus.queries import Bulk, GetBulk
from schemas.nexus.types import BulkAct, DeadLetterState
from tests.actors.nexus.letters import Letters, keeping
from tests.command_line import CommandLine

# An editor that makes a number of a text.
EDITOR = 'sed -i s/\\"five\\"/5/'


@pytest.fixture
def datapunk(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    commands = CommandLine(settings, tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "packages")  # accounts are installed here, too
    installed.cache_clear()
    yield commands
    installed.cache_clear()


@pytest.fixture
async def letters(settings: Settings, datapunk: CommandLine) -> AsyncIterator[Letters]:
    async with keeping(settings) as letters:
        yield letters


async def test_one_is_found_looked_at_mended_and_sent_again(letters: Letters, datapunk: CommandLine) -> None:
    await letters.raw.deposit("a", 1, body=b'{"cents": "five"}')
    (summary,) = await letters.parked()
    id = str(summary.id)

    listed = await datapunk("dlq", "list", "--text", "EXPECTED `int`")
    assert id in listed.out
    assert "undecodable" in listed.out
    assert (await datapunk("dlq", "list", "--reason", "oversized")).out == "no dead letters\n"

    shown = await datapunk("dlq", "show", id)
    assert '"cents": "five"' in shown.out
    assert "accounts.commands accounts.Deposit" in shown.out

    wrong = datapunk.folder / "wrong.json"
    wrong.write_text('{"cents": true}')
    refused = await datapunk("dlq", "edit", id, "--body", str(wrong))
    assert refused.status == 1
    assert "body_invalid: accounts.Deposit: Expected `int`, got `bool`" in refused.err

    edited = await datapunk("dlq", "edit", id, "--by", "ada", "--why", "a number", EDITOR=EDITOR)
    assert (edited.out, edited.err) == (f"edited {id}\n", "")
    difference = (await datapunk("dlq", "diff", id)).out.splitlines()
    assert '-  "cents": "five"' in difference
    assert '+  "cents": 5' in difference

    assert (await datapunk("dlq", "redrive", id)).out == "1 redriven\n"
    found = await letters.reaches(summary.id, DeadLetterState.Resolved)
    assert ("ada", "a number") in [(step.by, step.why) for step in found.history]
    as_json = (await datapunk("dlq", "show", id, "--json")).json
    assert as_json["summary"]["state"] == "Resolved"
    assert as_json["properties"]["headers"]["dead-id"] == id


async def test_many_are_handled_by_what_they_have_in_common(letters: Letters, datapunk: CommandLine) -> None:
    for n in range(5):
        await letters.raw.deposit(f"a{n}", 1, body=b"?")
    await letters.raw.publish("accounts.commands", "accounts.OpenAccount", b"?", headers={"actor-id": "b"})
    await letters.parked(6)
    asked = await datapunk("dlq", "discard", "--type", "accounts.Deposit", input=b"n\n")
    assert "discard 5 dead letters?" in asked.out
    assert asked.status == 1
    done = await datapunk("dlq", "discard", "--type", "accounts.Deposit", "--yes", "--json", "--why", "a test")
    assert done.json == {"discarded": 5, "rejected": 0}
    grouped = json.loads((await datapunk("dlq", "list", "--grouped", "--json")).out)
    assert {(each["type"], each["state"], each["count"]) for each in grouped["counts"]} == {
        ("accounts.Deposit", "Discarded", 5),
        ("accounts.OpenAccount", "Parked", 1),
    }
    started = await datapunk("dlq", "redrive", "--module", "accounts", "--rate", "2", "--background", "again", "--yes")
    assert started.out.startswith("started; how far it is: datapunk query nexus.GetBulk --data")
    bulk = await letters.client.ask(GetBulk(bulk="again"))
    assert isinstance(bulk, Bulk)
    assert (bulk.summary.act, bulk.summary.rate, bulk.summary.filter.module) == (BulkAct.Redrive, 2.0, "accounts")
    twice = await datapunk("dlq", "redrive", "--module", "accounts", "--background", "again", "--yes")
    assert "bulk_exists" in twice.err
    nobody = await datapunk("dlq", "redrive")
    assert nobody.status == 2
    assert "say which" in nobody.err
