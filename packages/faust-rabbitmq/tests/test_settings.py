"""What a URL says."""

from __future__ import annotations

import faust
import pytest
from faust_rabbitmq.settings import DATABASE_VARIABLE, read_url
from yarl import URL

DATABASE = "postgresql://localhost/x"


def test_a_url_says_where_everything_is() -> None:
    settings = read_url(URL(f"rabbitmq://u:p%40@host:5682/a%2Fb?stream_port=5562&lease_s=9&database={DATABASE}"))
    stream = settings.stream
    assert settings.amqp_url == "amqp://u:p%40@host:5682/a%2Fb"
    assert (stream.host, stream.port, stream.user, stream.password) == ("host", 5562, "u", "p@")
    assert (stream.virtual_host, settings.lease_s, settings.database_url) == ("a/b", 9, DATABASE)


def test_what_it_leaves_out_is_as_rabbitmq_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, DATABASE)
    settings = read_url(URL("rabbitmq://"))
    assert settings.amqp_url == "amqp://guest:guest@127.0.0.1:5672/%2F"
    assert (settings.stream.port, settings.stream.virtual_host, settings.stream.tls) == (5552, "/", None)


def test_without_a_database_it_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=DATABASE_VARIABLE):
        read_url(URL("rabbitmq://localhost"))


def test_user_and_password_may_come_apart_from_the_url_which_faust_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, DATABASE)
    credentials = faust.SASLCredentials(username="u", password="p@")
    app = faust.App("any", broker="rabbitmq://host", broker_credentials=credentials)
    assert app.transport.settings.amqp_url == "amqp://u:p%40@host:5672/%2F"
    assert (app.transport.settings.stream.user, app.transport.settings.stream.password) == ("u", "p@")
