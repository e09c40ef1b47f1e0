"""What workers may read files from: settings from the environment (`DATAPUNK_LAKE_*`), else the defaults below."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from datapunk.outbound import Network


class LakeSettings(BaseSettings):
    """Whoever may send `lake.IngestFile` makes workers read: nothing, unless it's set here. Immutable."""

    model_config = SettingsConfigDict(
        env_prefix="DATAPUNK_LAKE_", env_file=(".env", ".datapunk/endpoints.env"), extra="ignore", frozen=True
    )

    folders: tuple[Path, ...] = Field((), description='folders that files are ingested from, as JSON: `["/data"]`')
    urls: tuple[str, ...] = Field(
        (),
        description="what URLs begin with that files are ingested from, as JSON: "
        '`["https://data.example.com/", "s3://data/towns/"]`',
    )
    allowed_networks: tuple[Network, ...] = Field(
        (), description='private networks that these URLs may lead to, as JSON: `["10.1.0.0/16"]`'
    )
    s3_endpoint: str | None = Field(
        None,
        description="where buckets are, as in `https://s3.example.com`; none: AWS, or AWS_ENDPOINT_URL",
    )
    rejects: Path | None = Field(
        None,
        description="folder for the reject files of ingestions in the background; none: their bad rows are among the "
        "dead letters alone",
    )
