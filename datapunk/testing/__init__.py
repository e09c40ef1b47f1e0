"""What tests of a module import: `given` for actors, without a server; `Platform` for the whole, on real ones.

given(Dataset, DatasetCreated(...)).when(RenameDataset(name="x")).then(DatasetRenamed(name="x"))

Real servers come with the pytest plugin `datapunk.testing.plugin`. Nothing is faked but time and ids.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from datapunk.testing.chosen import Clock, Ids
from datapunk.testing.scenario import Given, When, given

if TYPE_CHECKING:
    from datapunk.testing.platform import Platform
    from datapunk.testing.replaying import replays
    from datapunk.testing.timers import PlatformWithTimers

_LOADED_LATER = {  # when first used: tests of actors need neither a broker nor Temporal
    "Platform": "datapunk.testing.platform",
    "PlatformWithTimers": "datapunk.testing.timers",
    "replays": "datapunk.testing.replaying",
}

__all__ = ["Clock", "Given", "Ids", "Platform", "PlatformWithTimers", "When", "given", "replays"]


def __getattr__(name: str) -> Any:
    if name in _LOADED_LATER:
        return getattr(import_module(_LOADED_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
