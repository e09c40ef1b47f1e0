"""Checks the models with Spin, exhaustively, and each of them again with a known bug put back, which must be found.

    python specs/check.py              all of them, as a table
    python specs/check.py delivery     one model, with its bugs

Needs `spin` and `gcc` (`ops/install.sh --with-checks`). What the models say: docs/explanation/model.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

SPECS = Path(__file__).resolve().parent
DEEPEST = 10_000  # steps; the longest run of a model takes a few dozen
LIMIT_S = 60.0


@dataclass(frozen=True)
class Variant:
    """A model as it is, or with something changed.

    Attributes:
        flags: what is changed, by the model's `#ifdef`s.
        breaks: the promise that is broken then; none if all must hold.
    """

    model: str
    flags: tuple[str, ...] = ()
    breaks: str | None = None

    def __str__(self) -> str:
        return "-".join([self.model, *self.flags])


@dataclass(frozen=True)
class Found:
    """What Spin found.

    Attributes:
        breaks: the broken promise; none if it looked at every state and all held.
        states: how many different ones it saw.
    """

    breaks: str | None
    states: int
    seconds: float


VARIANTS = (
    Variant("delivery"),
    Variant("delivery", ("ONCE_EVEN_UNFENCED", "COMMANDS=2")),
    Variant("delivery", ("UNFENCED",), "published_before_acknowledged"),
    Variant("delivery", ("ACK_BEFORE_PUBLISH",), "published_before_acknowledged"),
    Variant("delivery", ("NO_INBOX",), "takes_effect_once"),
    Variant("delivery", ("RECOVERY_SKIPPED",), "published_before_acknowledged"),
    Variant("delivery", ("UNCERTAIN_TAKEN_FOR_FAILED",), "published_before_acknowledged"),
    Variant("ownership"),
    Variant("ownership", ("ONCE_EVEN_UNFENCED", "FREEZES=1")),
    Variant("ownership", ("UNFENCED",), "published_before_acknowledged"),
    Variant("ownership", ("CANCELLED_FIRST",), "takes_effect_in_order"),
    Variant("ownership", ("RELEASED_EARLY",), "takes_effect_in_order"),
    Variant("ownership", ("NO_SINGLE_ACTIVE_CONSUMER",), "takes_effect_in_order"),
    Variant("ownership", ("NO_OPTIMISTIC_CONCURRENCY",), "decided_on_newest_state"),
    Variant("projection"),
    Variant("projection", ("STALE_TARGET",), "reads_never_go_back"),
    Variant("projection", ("CHECKPOINT_NOT_READ_AGAIN",), "reads_never_go_back"),
    Variant("projection", ("SWITCHED_WITHOUT_LOCK",), "reads_never_go_back"),
    Variant("projection", ("CHECKPOINT_APART",), "applied_once"),
    Variant("projection", ("UNCONDITIONAL_CHECKPOINT",), "applied_once"),
    Variant("projection", ("PAST_OPEN_TRANSACTION",), "nothing_skipped"),
    Variant("projection", ("BOUNDS_BEFORE_HIGHEST",), "nothing_skipped"),
)


class CheckFailed(Exception):
    """Spin or the compiler refused the model, or the check is no proof: it says why."""


def check(variant: Variant) -> Found:
    """Look at every state of a model until a promise is broken, or all are seen.

    Raises:
        CheckFailed: if there's no such answer.
    """
    began = monotonic()
    output = explore(SPECS / f"{variant.model}.pml", variant.flags, is_large=variant.breaks is None)
    states = re.search(r"(\d+) states, stored", output)
    assert states is not None  # `explore` saw to it
    return Found(broken_promise(output), int(states[1]), monotonic() - began)


def broken_promise(output: str) -> str | None:
    """The name of the promise that Spin saw broken; none if all hold in every state.

    Raises:
        CheckFailed: if it found anything else.
    """
    broken = re.search(r"assertion violated (\w+)", output)
    if broken is None and "errors: 0" not in output:
        raise CheckFailed(f"an error that isn't a broken promise:\n{output}")
    return broken[1] if broken else None


def explore(model: Path, flags: Sequence[str] = (), beside: Sequence[Path] = (), *, is_large: bool = False) -> str:
    """What Spin's verifier says after it looked at every state, or found an error.

    Args:
        model: the file.
        flags: to define.
        beside: other files that it includes, besides those in this folder.
        is_large: whether there are so many states that the verifier is worth optimising.

    Raises:
        CheckFailed: if a tool is missing, the model is wrong, or not all states could be looked at.
    """
    with tempfile.TemporaryDirectory(prefix="spin-") as directory:
        for source in (*SPECS.glob("*.pml"), *beside):
            shutil.copy(source, directory)
        for command in (
            ["spin", "-a", *(f"-D{flag}" for flag in flags), model.name],
            ["gcc", "-O1" if is_large else "-O0", "-w", "-DSAFETY", "-o", "pan", "pan.c"],
            ["./pan", f"-m{DEEPEST}", "-w22", "-E"],  # -E: to stop is no error; promises say what must be reached
        ):
            try:
                ran = subprocess.run(  # noqa: S603  # commands of ours
                    command, cwd=directory, capture_output=True, text=True, check=False, timeout=LIMIT_S
                )
            except FileNotFoundError:
                raise CheckFailed(f"{command[0]} is missing; `ops/install.sh --with-checks` installs it") from None
            if ran.returncode or "Error" in ran.stdout:
                raise CheckFailed(f"{command[0]} refuses {model.name} {' '.join(flags)}:\n{ran.stdout}{ran.stderr}")
    if "states, stored" not in ran.stdout or "max search depth too small" in ran.stdout:
        raise CheckFailed(f"{model.name} {' '.join(flags)}: not every state was looked at:\n{ran.stdout}")
    return ran.stdout


def main(models: Sequence[str]) -> int:
    """Print a table; the exit code is 1 if anything isn't as it should be."""
    row = "{:<11} {:<30} {:<30} {:<30} {:>9} {:>5} {}"
    print(row.format("model", "variant", "expected", "found", "states", "s", ""))
    is_right = True
    for variant in VARIANTS:
        if models and variant.model not in models:
            continue
        found = check(variant)
        is_as_expected = found.breaks == variant.breaks
        is_right = is_right and is_as_expected
        name, expected = " ".join(variant.flags) or "(as it should be)", variant.breaks or "all holds"
        figures = f"{found.states:,}", f"{found.seconds:.1f}", "" if is_as_expected else "WRONG"
        print(row.format(variant.model, name, expected, found.breaks or "all holds", *figures), flush=True)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
