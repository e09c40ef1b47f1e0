"""What happens when a server, the supervisor or even its guard is killed."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from datapunk.stack.asking import ask_server
from datapunk.stack.leftovers import stop_leftovers
from datapunk.stack.lock import StackLock, is_locked
from datapunk.stack.processes import Identity
from datapunk.stack.record import PartStatus, StackRecord, load_record, save_record
from tests.own_stack import Place, is_over, wait_until


def guard_of(place: Place) -> psutil.Process:
    (guard,) = [child for child in place.supervisor().children() if "datapunk.stack.guard" in child.cmdline()]
    return guard


@pytest.mark.servers
def test_a_server_that_dies_is_started_again(place: Place) -> None:
    place.start("redis", "postgres")
    place.kill("redis")
    record = load_record(place.directory)
    assert record is not None
    assert ask_server("redis", record.endpoints)


@pytest.mark.servers
def test_a_killed_supervisor_takes_its_servers_along(place: Place) -> None:
    place.start("redis", "postgres", "rabbitmq")
    processes = [*place.processes(), guard_of(place)]
    place.supervisor().kill()
    wait_until(lambda: all(is_over(process) for process in processes))


@pytest.mark.servers
@pytest.mark.parametrize("then", ["up", "down"])
def test_what_a_killed_supervisor_and_guard_left_is_stopped_by_the_next_command(place: Place, then: str) -> None:
    place.start("redis", "postgres", *(["rabbitmq"] if then == "down" else []))
    supervisor, processes = place.supervisor(), place.processes()
    guard_of(place).kill()
    supervisor.kill()
    wait_until(lambda: not is_locked(place.directory))
    assert any(not is_over(process) for process in processes)
    assert "left servers running" in place.command("status").stdout

    answer = place.command(then, *(["--detach", "--only", "redis"] if then == "up" else []))

    assert answer.returncode == 0, answer.stderr
    assert all(is_over(process) for process in processes)


@pytest.mark.servers
def test_a_supervisor_that_hangs_is_killed_by_down(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datapunk.stack.native._LOCK_WITHIN_S", 1.0)
    place.start("redis")
    supervisor, processes = place.supervisor(), place.processes()
    supervisor.send_signal(signal.SIGSTOP)
    assert place.launcher.stop() == ["Redis"]
    assert all(is_over(process) for process in [supervisor, *processes])


def test_a_process_that_only_has_a_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    mine = psutil.Process()
    impostor = Identity(mine.pid, mine.create_time() - 1000)
    part = PartStatus(name="redis", title="Redis", where="", processes=(impostor,))
    save_record(tmp_path, StackRecord(launcher="native", supervisor=impostor, parts=(part,)))
    assert stop_leftovers(tmp_path) == []
    assert mine.is_running()


def test_a_record_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"launcher": "native", "par')
    assert load_record(tmp_path) is None


def test_the_lock_has_one_holder_and_is_free_afterwards(tmp_path: Path) -> None:
    with StackLock(tmp_path) as lock:
        assert lock.take()
        assert is_locked(tmp_path)
        assert not StackLock(tmp_path).take()
    assert not is_locked(tmp_path)
