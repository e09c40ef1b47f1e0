"""What activities may need of the platform."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.client import Client as TemporalClient

from datapunk.client import Client
from datapunk.messages.registry import Registry
from datapunk.settings import Settings


@dataclass(frozen=True, slots=True)
class Platform:
    """Handed to each class of activities when a worker starts.

    Attributes:
        settings: of the process.
        registry: of its messages.
        client: sends commands, asks queries.
        temporal: starts, signals and lists workflows.
    """

    settings: Settings
    registry: Registry
    client: Client
    temporal: TemporalClient
