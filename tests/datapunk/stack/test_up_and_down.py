"""Starting and stopping the stack, as a person does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
import redis

from datapunk.errors import NotAnswering, PortTaken, StackError
from datapunk.stack.asking import SERVERS, ask_server
from datapunk.stack.lock import is_locked
from datapunk.stack.record import PartState
from datapunk.stack.running import running_stack
from tests.own_stack import WITHIN_S, Place, is_over, nothing, wait_until

pytestmark = pytest.mark.servers


def test_all_servers_start_within_15_seconds_answer_and_leave_no_process_behind(place: Place) -> None:
    record = place.start()
    assert {part.name: part.state for part in record.parts} == dict.fromkeys(SERVERS, PartState.READY)
    assert max(part.seconds for part in record.parts) < 15
    for name in SERVERS:
        assert ask_server(name, record.endpoints)
    processes = place.processes()
    assert len(processes) > 10
    assert place.launcher.stop() == ["PostgreSQL", "RabbitMQ", "Redis", "Temporal"]
    assert all(is_over(process) for process in processes)


def test_up_twice_says_that_it_runs_and_succeeds(place: Place) -> None:
    place.start("redis")
    pid = place.supervisor().pid
    again = place.command("up", "--detach", "--only", "redis")
    assert again.returncode == 0
    assert "running already" in again.stdout
    assert place.supervisor().pid == pid


def test_two_ups_at_once_make_one_stack(place: Place) -> None:
    answers: list[int] = []
    ups = [
        threading.Thread(target=lambda: answers.append(place.command("up", "-d", "--only", "redis").returncode))
        for _ in range(2)
    ]
    for up in ups:
        up.start()
    for up in ups:
        up.join()
    assert answers == [0, 0]
    record = place.launcher.current()
    assert record is not None
    assert record.is_complete


def test_up_writes_endpoints_that_down_removes(place: Place) -> None:
    place.start("redis")
    lines = (place.directory / "endpoints.env").read_text().splitlines()
    assert f"DATAPUNK_REDIS_URL={os.environ['DATAPUNK_REDIS_URL']}" in lines
    place.launcher.stop()
    assert not (place.directory / "endpoints.env").exists()


def test_a_taken_port_is_an_error_that_names_the_process_and_the_remedy(place: Place) -> None:
    port = int(os.environ["DATAPUNK_REDIS_URL"].rpartition(":")[2].partition("/")[0])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StackError) as caught:
        place.start("redis", "postgres")
    message = str(caught.value)
    assert f"Port {port}, for Redis, is taken by process {os.getpid()}" in message
    assert "export DATAPUNK_REDIS_URL=redis://127.0.0.1:" in message
    assert place.processes() == []


def test_a_missing_program_is_an_error_with_the_command_that_installs_it(place: Place) -> None:
    folder = place.folder / "bin"
    folder.mkdir()
    answer = place.command("up", "--detach", "--only", "redis", PATH=str(folder))
    assert answer.returncode == 1
    assert "Redis is not installed" in answer.stderr
    assert "sudo apt-get install redis-server" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_one_part_that_fails_stops_the_others_and_shows_what_it_logged(place: Place) -> None:
    place.start("redis")
    place.launcher.stop()
    (log,) = (place.directory / "redis" / "appendonlydir").glob("*.manifest")
    log.write_text("not a manifest\n")
    with pytest.raises(StackError, match=r"Redis ended with exit code 1[\s\S]*manifest"):
        place.start("redis", "postgres")
    assert place.processes() == []


def test_an_unknown_part_is_refused(place: Place) -> None:
    answer = place.command("up", "--only", "mysql")
    assert answer.returncode == 1
    assert "no such part: mysql" in answer.stderr


def test_ctrl_c_stops_all_that_was_started(place: Place) -> None:
    line = [sys.executable, "-m", "datapunk.cli.main", "up", "--only", "redis", "--only", "rabbitmq"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: (place.directory / "endpoints.env").exists())
    processes = place.processes()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 0
    assert "All stopped." in output
    assert all(is_over(one) for one in processes)


def test_ctrl_c_while_starting_stops_all_that_was_started(place: Place) -> None:
    process = subprocess.Popen([sys.executable, "-m", "datapunk.cli.main", "up"], stdout=subprocess.DEVNULL)
    wait_until(lambda: len(place.processes()) > 3)
    processes = place.processes()
    process.send_signal(signal.SIGINT)
    assert process.wait(WITHIN_S) == 130
    assert all(is_over(one) for one in processes)
    assert not is_locked(place.directory)


def test_data_survive_a_restart(place: Place) -> None:
    record = place.start("postgres", "redis")
    with psycopg.connect(record.endpoints["DATAPUNK_DATABASE_URL"]) as connection:
        connection.execute("create table kept as select 42 as answer")
    with redis.Redis.from_url(record.endpoints["DATAPUNK_REDIS_URL"]) as client:
        client.set("kept", "42")
    place.launcher.stop()

    record = place.start("postgres", "redis")
    with psycopg.connect(record.endpoints["DATAPUNK_DATABASE_URL"]) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)
    with redis.Redis.from_url(record.endpoints["DATAPUNK_REDIS_URL"]) as client:
        assert client.get("kept") == b"42"


def test_postgres_is_ready_for_logical_decoding_and_vectors(place: Place) -> None:
    record = place.start("postgres")
    with psycopg.connect(record.endpoints["DATAPUNK_DATABASE_URL"]) as connection:
        assert connection.execute("show wal_level").fetchone() == ("logical",)
        connection.execute("create extension vector")
        assert connection.execute("select '[1,2]'::vector <-> '[1,4]'::vector").fetchone() == (2.0,)


def test_postgres_runs_in_a_folder_that_other_accounts_cannot_enter(place: Place) -> None:
    place.folder.chmod(0o700)
    with running_stack(place.directory, only=["postgres"]) as endpoints:
        assert SERVERS["postgres"].ask(endpoints.database_url)
        kept = (place.directory / "postgres").resolve()
        assert kept.exists()
    assert not kept.exists() or kept == place.directory / "postgres"


def test_a_running_server_that_a_setting_names_is_used_and_left_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Path(place.folder / "other")
    with running_stack(other, only=["redis"]) as endpoints:
        monkeypatch.setenv("DATAPUNK_REDIS_URL", endpoints.redis_url)
        record = place.start("redis", "postgres")
        assert {part.name: part.state for part in record.parts} == {
            "postgres": PartState.READY,
            "redis": PartState.EXTERNAL,
        }
        assert record.endpoints["DATAPUNK_REDIS_URL"] == endpoints.redis_url
        assert place.launcher.stop() == ["PostgreSQL"]
        assert ask_server("redis", endpoints.variables)


def test_stopping_what_does_not_run_is_no_error(place: Place) -> None:
    answer = place.command("down")
    assert (answer.returncode, answer.stdout) == (0, "Nothing was running.\n")


def test_a_test_run_gets_servers_of_its_own_beside_others(place: Place) -> None:
    place.start("redis")
    with running_stack(place.folder / "tests", only=["redis"]) as endpoints:
        assert endpoints.redis_url != os.environ["DATAPUNK_REDIS_URL"]
        assert ask_server("redis", endpoints.variables)
    with pytest.raises(NotAnswering):
        ask_server("redis", endpoints.variables)


def test_a_folder_holds_one_stack(place: Place) -> None:
    place.start("redis")
    with pytest.raises(StackError, match="already"), running_stack(place.directory, only=["redis"]):
        pass


def test_the_foreground_and_the_background_report_the_same_error(place: Place) -> None:
    port = int(os.environ["DATAPUNK_REDIS_URL"].rpartition(":")[2].partition("/")[0])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTaken, match="for Redis, is taken"):
        place.launcher.run(["redis"], nothing, nothing)
