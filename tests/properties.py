"""How many examples hypothesis tries: by the profile that `HYPOTHESIS_PROFILE` names.

    dev        few, while you write
    ci         what a run of all tests needs; the default
    thorough   many, when a codec or a state machine has changed

A deadline for one example would fail on a busy machine what is right; the test's own limit is enough.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

_EXAMPLES = {"dev": 20, "ci": 100, "thorough": 500}


def load_profile() -> None:
    """Take the profile: it counts for the properties that are defined from now on."""
    for name, examples in _EXAMPLES.items():
        settings.register_profile(name, max_examples=examples, deadline=None)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def examples(usually: int) -> int:
    """How many, for a property that has a number of its own.

    Args:
        usually: in the profile `ci`.
    """
    return max(1, usually * settings().max_examples // _EXAMPLES["ci"])


def machine(usually: int, steps: int) -> settings:
    """For a state machine on real servers.

    In the profile `ci` the runs are the same each time, and one that fails isn't made smaller: each trial may wait
    for something that never comes.

    Args:
        usually: how many runs, in the profile `ci`.
        steps: most steps of one.
    """
    is_ci = settings().max_examples == _EXAMPLES["ci"]
    return settings(
        max_examples=examples(usually),
        stateful_step_count=steps,
        derandomize=is_ci,
        phases=[Phase.generate] if is_ci else list(Phase),
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
    )
