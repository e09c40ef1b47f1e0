"""The platform's own process in the background: `datapunk run --detach`, and how `datapunk down` finds it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from datapunk.errors import StackError

RECORD, LOG = "run.json", Path("logs/run.log")  # in the stack's directory
PATIENCE_S = 20.0  # for a clean stop; then it's killed
STARTED = b'"worker_started"'  # what its log says once it works
WATCHED_S, LOOK_S = 20.0, 0.05  # how long a start is watched, and how often


def start(directory: Path, arguments: list[str]) -> tuple[int, Path]:
    """Start `datapunk run …` in a session of its own, unless one runs already.

    Returns:
        Its pid, and its log file: once it works, or waits for its servers.

    Raises:
        StackError: if it ended at once; with the last line of its log.
    """
    log = directory / LOG
    running = find(directory)
    if running is not None:
        return running.pid, log
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        begins = output.tell()
        process = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-m", "datapunk.cli.main", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    record = {
        "pid": process.pid,
        "created": psutil.Process(process.pid).create_time(),
        "arguments": arguments,
    }
    (directory / RECORD).write_text(json.dumps(record))
    _watch(process, log, begins)
    return process.pid, log


def _watch(process: subprocess.Popen[bytes], log: Path, begins: int) -> None:
    until = time.monotonic() + WATCHED_S
    while time.monotonic() < until:
        with log.open("rb") as said:
            said.seek(begins)
            text = said.read()
        if STARTED in text:
            return
        if process.poll() is not None:
            last = text.decode(errors="replace").strip().rpartition("\n")[2]
            raise StackError(f"it ended at once, with status {process.returncode}: {last or 'without a word'}")
        time.sleep(LOOK_S)


def find(directory: Path) -> psutil.Process | None:
    """The process that `start` started, if it still runs; a pid that went to somebody else isn't it."""
    try:
        record = json.loads((directory / RECORD).read_text())
        process = psutil.Process(record["pid"])
        if abs(process.create_time() - record["created"]) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        pass
    return None


def stop(directory: Path) -> bool:
    """Stop it and its workers; True if there was something to stop."""
    process = find(directory)
    (directory / RECORD).unlink(missing_ok=True)
    if process is None:
        return False
    family = [process, *process.children(recursive=True)]
    process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=PATIENCE_S)
    for left in alive:
        left.kill()
    psutil.wait_procs(alive, timeout=5)
    return True
