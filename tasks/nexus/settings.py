"""Settings of webhooks, from the environment (`DATAPUNK_WEBHOOKS_*`), else the defaults below."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from datapunk.outbound import Network


class WebhookSettings(BaseSettings):
    """How deliveries are made. Immutable."""

    model_config = SettingsConfigDict(
        env_prefix="DATAPUNK_WEBHOOKS_", env_file=(".env", ".datapunk/endpoints.env"), extra="ignore", frozen=True
    )

    allowed_networks: tuple[Network, ...] = Field(
        (), description='private networks that may be delivered to, as JSON: `["10.1.0.0/16"]`'
    )
    allow_http: bool = Field(False, description="deliver to http URLs, too: without encryption")
    timeout_s: float = Field(15.0, gt=0, le=300, description="for an attempt, from looking up the name to the answer")
    attempts: int = Field(10, ge=1, le=100, description="most attempts of a delivery")
    first_retry_s: float = Field(5.0, gt=0, description="pause after the first attempt; each further one is twice it")
    longest_retry_s: float = Field(1200.0, gt=0, le=1200, description="longest pause between two attempts")
    life_s: float = Field(86_400.0, gt=0, description="after so long a delivery is given up, however few its attempts")
    breaker_failures: int = Field(5, ge=1, description="failures in a row after which an endpoint is left alone")
    breaker_rest_s: float = Field(30.0, gt=0, description="for so long; then it's tried again")
    window: int = Field(
        500, ge=1, description="most deliveries of a subscription that are under way or wait for a retry"
    )
    burst: int = Field(
        32,
        ge=1,
        description="most of these that don't wait for a retry: at least twice `lane` for each process",
    )
    lane: int = Field(8, ge=1, description="deliveries of a subscription that a process makes at a time")
