"""Settings, from the environment (`DATAPUNK_*`), else `.datapunk/endpoints.env`, else the defaults below.

`.datapunk/endpoints.env` is written by `datapunk up`, so that every command finds the servers that run.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from datapunk.errors import ConfigurationError


class RetrySetting(BaseModel):
    """How often, and when, dead letters are tried again by themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(3, ge=0, le=20)
    first_s: float = Field(1.0, gt=0, le=86_400)


class Settings(BaseSettings):
    """What a process needs to know about the world. Immutable."""

    model_config = SettingsConfigDict(
        env_prefix="DATAPUNK_", env_file=(".env", ".datapunk/endpoints.env"), extra="ignore", frozen=True
    )

    directory: Path = Field(Path(".datapunk"), description="where the local stack keeps data, logs and pids")
    broker_url: str = Field("amqp://guest:guest@127.0.0.1:5682/", description="RabbitMQ, AMQP 0-9-1")
    broker_management_url: str = Field("http://guest:guest@127.0.0.1:15682", description="RabbitMQ's HTTP API")
    database_url: str = Field("postgresql://postgres@127.0.0.1:5442/datapunk", description="Postgres")
    redis_url: str = Field("redis://127.0.0.1:6389/0", description="Redis")
    temporal_address: str = Field("127.0.0.1:7243", description="Temporal's gRPC front end, host:port")
    temporal_namespace: str = Field("default", description="Temporal's namespace; made if it isn't there")
    temporal_ui_url: str = Field("http://127.0.0.1:8243", description="Temporal's web UI")

    http_host: str = Field("127.0.0.1", description="address of the HTTP facade")
    http_port: int = Field(8088, ge=1, le=65535, description="port of the HTTP facade")
    http_requests: int = Field(
        1000, ge=1, description="HTTP requests that a process answers at a time, streams of events aside"
    )
    probe_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="port of /health and /metrics of a process without the facade; none: they aren't served. "
        "Of several workers each has its own: this one, the next, …",
    )

    default_tenant: str = Field("default", description="the tenant of messages that name none")
    shards: int = Field(8, ge=1, le=256, description="queues a module's commands are spread over, when first declared")
    batch_commands: int = Field(200, ge=1, le=5000, description="most commands decided in one transaction")
    batch_wait_ms: float = Field(
        5.0, ge=0, le=1000, description="longest wait to fill a batch; a lone command never waits"
    )
    prefetch: int = Field(
        1000, ge=1, le=10000, description="unacknowledged commands of a shard that a process may hold"
    )
    cached_actors: int = Field(10_000, ge=1, description="actors kept in memory a process and module")
    snapshot_every: int = Field(100, ge=1, description="events between two snapshots of an actor")
    projection_batch: int = Field(2000, ge=1, le=50_000, description="most events applied in one transaction")
    inbox_retention_days: int = Field(
        30, ge=1, description="how long a command sent again is recognised, and answered as before"
    )
    dead_letter_retries: dict[str, RetrySetting] = Field(
        {},
        description="how dead letters are tried again by themselves, by message type or reason, as JSON: "
        '`{"lake.AppendRecords": {"attempts": 5, "first_s": 10}, "handler_failed": {"attempts": 0}}`; '
        "docs/how-to/dead-letters.md has what holds without",
    )
    dead_letter_crowd: int = Field(
        100, ge=1, description="dead letters of one cause in a minute beyond which they are handled as a group"
    )
    dead_letter_retention_days: int = Field(
        90, ge=1, description="how long the originals of dead letters are kept that were resolved or discarded"
    )
    max_message_bytes: int = Field(16 * 1024 * 1024, ge=1024, description="largest body accepted")
    query_timeout_s: float = Field(10.0, gt=0, description="how long a query may take")
    build_id: str | None = Field(
        None,
        description="the release that this process runs, for Temporal: workflows stay with the release they began "
        "under; none: the workers that there are take them all",
    )
    heartbeat_s: float = Field(1.0, gt=0, description="how often a process says that it's alive")
    member_timeout_s: float = Field(5.0, gt=0, description="silence after which a process counts as dead")

    task_threads: int = Field(32, ge=1, le=1000, description="tasks that a process works on at a time")
    secrets_keys: str | None = Field(
        None,
        repr=False,
        description="keys that secrets are encrypted with, each 32 bytes in base64, with commas between: the first "
        "encrypts, all decrypt; none: `secrets.key` in the directory above",
    )

    log_level: str = Field("info", description="debug, info, warning or error")
    otlp_endpoint: str | None = Field(None, description="OpenTelemetry collector; none: traces go nowhere")


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: naming each variable that is wrong, and how.
    """
    try:
        return Settings()  # pyright: ignore[reportCallIssue]  # every field has a default
    except ValidationError as error:
        lines = [
            f"DATAPUNK_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']} (got {item.get('input')!r})"
            for item in error.errors()
        ]
        raise ConfigurationError("wrong settings:\n  " + "\n  ".join(lines)) from None
