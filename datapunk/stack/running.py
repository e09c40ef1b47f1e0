"""A stack for as long as a `with` block runs: what tests and benchmarks use."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datapunk.errors import StackError
from datapunk.stack.lock import StackLock
from datapunk.stack.plan import plan_from_settings, plan_on_free_ports, user_settings
from datapunk.stack.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the servers of a running stack are, as `DATAPUNK_*` variables."""

    variables: dict[str, str]

    @property
    def broker_url(self) -> str:
        """RabbitMQ, AMQP 0-9-1."""
        return self.variables["DATAPUNK_BROKER_URL"]

    @property
    def broker_management_url(self) -> str:
        """RabbitMQ's HTTP API."""
        return self.variables["DATAPUNK_BROKER_MANAGEMENT_URL"]

    @property
    def database_url(self) -> str:
        """Postgres."""
        return self.variables["DATAPUNK_DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        """Redis."""
        return self.variables["DATAPUNK_REDIS_URL"]

    @property
    def temporal_address(self) -> str:
        """Temporal's gRPC front end."""
        return self.variables["DATAPUNK_TEMPORAL_ADDRESS"]


@contextmanager
def running_stack(
    directory: Path,
    *,
    ports: Literal["free", "settings"] = "free",
    only: Collection[str] = (),
    throwaway: bool = True,
) -> Generator[Endpoints]:
    """Start the servers in `directory`, and stop them at the end of the block.

    Args:
        directory: where their data go.
        ports: any free ones, or those that the settings name.
        only: the parts to start; all when empty.
        throwaway: nothing has to survive a power cut (no fsync), stopping is abrupt, and data that had to be
            kept outside of `directory` are removed at the end. Benchmarks pass False.

    Raises:
        StackError: they could not be started, or others run in this folder already.
    """
    with StackLock(directory) as lock:
        if not lock.take():
            raise StackError(f"a stack runs in {directory} already")
        if ports == "free":
            plan = plan_on_free_ports(directory, only, throwaway=throwaway)
        else:
            plan = plan_from_settings(directory, user_settings(), only)
        supervisor = Supervisor(directory, plan)
        supervisor.start()
        try:
            yield Endpoints(dict(supervisor.record.endpoints))
        finally:
            supervisor.stop()
            if throwaway:
                for part in plan.parts:
                    part.discard()
