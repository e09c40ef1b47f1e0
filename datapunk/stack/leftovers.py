"""Ending what a supervisor that was killed left running."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from datapunk.stack.processes import Identity, end, kill, marked
from datapunk.stack.record import PartStatus, load_record, remove_record

GRACE_S = 15.0
"""How long a server may take to stop cleanly."""

_HELPER_GRACE_S = 3.0


def stop_leftovers(directory: Path) -> list[str]:
    """Stop every process that was started for the stack in `directory`, by its record and by its mark.

    Call it only while holding the folder's lock.

    Returns:
        The names of the parts (or programs) that were still running.
    """
    found: list[str] = []
    parts = left_running(directory)
    if parts:
        with ThreadPoolExecutor(len(parts)) as pool:
            list(pool.map(_stop, parts))
        found += [part.title for part in parts]
    strays = marked(directory)
    if strays:
        found += sorted({_name(process) for process in strays} - {""})
        for process in strays:
            try:
                process.terminate()
            except psutil.NoSuchProcess:
                continue
        _, alive = psutil.wait_procs(strays, timeout=_HELPER_GRACE_S)
        kill(alive)
    remove_record(directory)
    return found


def left_running(directory: Path) -> list[PartStatus]:
    """The recorded parts whose processes still run."""
    record = load_record(directory)
    return [part for part in record.parts if _runs(part)] if record else []


def _runs(part: PartStatus) -> list[Identity]:
    return [identity for identity in part.processes if identity.process() is not None]


def _stop(part: PartStatus) -> None:
    *helpers, server = part.processes
    end(server, signal.Signals(part.stop_signal), GRACE_S)
    for helper in helpers:
        end(helper, signal.SIGTERM, _HELPER_GRACE_S)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""
