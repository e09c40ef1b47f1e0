"""Which launcher to use: the one that was asked for, the one that runs now, else compose where it works."""

from __future__ import annotations

import os
from pathlib import Path

from datapunk.errors import ConfigurationError
from datapunk.stack.compose import ComposeLauncher
from datapunk.stack.launcher import Launcher
from datapunk.stack.native import NativeLauncher

VARIABLE = "DATAPUNK_STACK"


def choose_launcher(directory: Path) -> Launcher:
    """The launcher for the stack in `directory`.

    Raises:
        ConfigurationError: DATAPUNK_STACK is neither `native` nor `compose`.
    """
    native, compose = NativeLauncher(directory), ComposeLauncher(directory)
    match os.environ.get(VARIABLE, ""):
        case "native":
            return native
        case "compose":
            return compose
        case "":
            pass
        case other:
            raise ConfigurationError(f"{VARIABLE} must be native or compose, not {other!r}")
    if native.current() is not None:
        return native
    return compose if compose.is_possible() else native
