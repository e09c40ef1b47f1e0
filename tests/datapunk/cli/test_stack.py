"""`datapunk doctor`, `status`, `logs` and `down` where no stack of this folder runs."""

from __future__ import annotations

import json

from tests.command_line import CommandLine


async def test_status_says_that_nothing_runs_and_how_to_start_it(datapunk: CommandLine) -> None:
    ended = await datapunk("status")
    assert (ended.status, ended.out) == (1, "Nothing runs. Start it with: datapunk up\n")


async def test_status_as_json_is_one_line(datapunk: CommandLine) -> None:
    ended = await datapunk("status", "--json")
    assert (ended.status, ended.json) == (1, {"running": False, "parts": []})


async def test_logs_says_that_there_are_none_and_what_to_do(datapunk: CommandLine) -> None:
    ended = await datapunk("logs")
    assert ended.status == 1
    assert "datapunk up" in ended.err
    assert "Traceback" not in ended.err


async def test_logs_of_an_unknown_part_names_the_parts(datapunk: CommandLine) -> None:
    ended = await datapunk("logs", "rabbit")
    assert ended.status != 0
    assert "rabbitmq" in ended.err


async def test_down_stops_nothing_and_says_so(datapunk: CommandLine) -> None:
    ended = await datapunk("down", "--json")
    assert (ended.status, ended.json) == (0, {"stopped": []})


async def test_doctor_tells_of_each_part_what_it_found(datapunk: CommandLine) -> None:
    ended = await datapunk("doctor", "--json")
    findings = json.loads(ended.out)
    assert {"name", "verdict", "found", "remedy"} <= set(findings[0])
    wrong = [each for each in findings if each["verdict"] == "wrong"]
    assert ended.status == (1 if wrong else 0)
    assert all(each["remedy"] for each in wrong)


async def test_doctor_for_people_has_a_line_for_each(datapunk: CommandLine) -> None:
    findings = json.loads((await datapunk("doctor", "--json")).out)
    shown = (await datapunk("doctor")).out
    assert all(finding["name"] in shown for finding in findings)
