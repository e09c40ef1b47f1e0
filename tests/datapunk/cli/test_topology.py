"""`datapunk topology`: what modules have at the broker."""

from __future__ import annotations

from datapunk.broker.topology import apply
from datapunk.settings import Settings
from tests.accounts.module import accounts
from tests.command_line import CommandLine
from tests.management import Management


async def test_all_modules_are_declared_and_counted(datapunk: CommandLine, settings: Settings) -> None:
    ended = await datapunk("topology", "apply")
    assert ended.status == 0
    lines = ended.out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["accounts", "lake", "nexus", "stream"]
    assert f"({settings.shards} shards)" in lines[0]
    management = Management.of(settings.broker_url)
    names = {queue["name"] for queue in management.get("queues")}
    management.close()
    assert {"accounts.commands.0", "lake.commands.0", "unroutable", "lake.dead"} <= names


async def test_applying_twice_says_the_same(datapunk: CommandLine) -> None:
    first, second = await datapunk("topology", "apply", "accounts"), await datapunk("topology", "apply", "accounts")
    assert (second.status, second.out) == (0, first.out)


async def test_for_programs_it_is_json(datapunk: CommandLine) -> None:
    applied = await datapunk("topology", "apply", "accounts", "--json")
    shown = await datapunk("topology", "show", "accounts", "--json")
    assert shown.json == applied.json
    assert shown.json[0]["module"] == "accounts"
    assert {"name": "accounts.events", "type": "topic", "arguments": {}} in shown.json[0]["exchanges"]


async def test_for_people_it_is_a_tree_of_exchanges_and_where_they_lead(datapunk: CommandLine) -> None:
    ended = await datapunk("topology", "show", "accounts")
    assert "accounts.commands (direct exchange)" in ended.out
    assert "accounts.Deposit → accounts.shards" in ended.out
    assert "1 → accounts.commands.3 (quorum queue, single active consumer)" in ended.out
    assert "accounts.GetBalance → accounts.queries (classic queue)" in ended.out


async def test_what_is_shown_has_the_number_of_shards_that_was_settled(
    datapunk: CommandLine, settings: Settings
) -> None:
    await apply(settings, accounts)
    ended = await datapunk("topology", "show", "accounts", "--json", DATAPUNK_SHARDS="32")
    assert ended.json[0]["shards"] == settings.shards


async def test_showing_needs_no_server(datapunk: CommandLine) -> None:
    ended = await datapunk(
        *("topology", "show", "accounts", "--json"),
        DATAPUNK_SHARDS="3",
        DATAPUNK_BROKER_URL="amqp://guest:guest@127.0.0.1:1/",
        DATAPUNK_DATABASE_URL="postgresql://postgres@127.0.0.1:1/datapunk",
    )
    assert (ended.status, ended.json[0]["shards"]) == (0, 3)


async def test_what_is_there_with_other_arguments_is_one_clear_error(datapunk: CommandLine, settings: Settings) -> None:
    management = Management.of(settings.broker_url)
    management.declare_queue("accounts.dead")
    management.close()
    ended = await datapunk("topology", "apply", "accounts")
    assert ended.status == 1
    assert ended.err.startswith("configuration: queue accounts.dead is there already with other arguments")
    assert "Traceback" not in ended.err


async def test_a_broker_that_is_away_is_one_clear_error(datapunk: CommandLine) -> None:
    ended = await datapunk("topology", "apply", "accounts", DATAPUNK_BROKER_URL="amqp://guest:guest@127.0.0.1:1/")
    assert ended.status == 1
    assert ended.err.startswith("connection_lost: no broker answers")


async def test_a_module_that_is_not_installed_is_told_with_those_that_are(datapunk: CommandLine) -> None:
    ended = await datapunk("topology", "show", "orders")
    assert ended.status == 1
    assert "no module named 'orders' is installed; installed: accounts, lake" in ended.err
