"""The transport that Faust finds by `rabbitmq://`."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from faust.auth import SASLCredentials
from faust.transport import base
from faust.types.transports import ConsumerT, ProducerT

from faust_rabbitmq.consumer import Consumer
from faust_rabbitmq.producer import Producer
from faust_rabbitmq.settings import Settings, read_url

__all__ = ["Transport"]


class Transport(base.Transport):
    """RabbitMQ Streams for Faust."""

    Consumer: ClassVar[type[ConsumerT]] = Consumer
    Producer: ClassVar[type[ProducerT]] = Producer
    driver_version = "faust-rabbitmq=0.1.0"
    default_port = 5672

    @cached_property
    def settings(self) -> Settings:
        """What the URL says, and Faust's `broker_credentials` say instead."""
        conf: Any = self.app.conf
        url = self.url[0]
        if isinstance(conf.broker_credentials, SASLCredentials):
            url = url.with_user(conf.broker_credentials.username).with_password(conf.broker_credentials.password)
        return read_url(url, conf.ssl_context)
