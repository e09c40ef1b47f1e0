"""The part in memory: what makes it forget, and what it doesn't take."""

from __future__ import annotations

import pytest

from datapunk.cache import local as memory
from datapunk.cache.central import News, Touched
from datapunk.cache.local import LARGEST, Local


def news(since: int, until: int, *touched: str, epoch: str = "one", **updated: bytes) -> News:
    return News(epoch, since, until, Touched(list(touched), updated))


@pytest.fixture
def local() -> Local:
    """It knows all up to 5, and has a."""
    local = Local()
    local.hear(news(0, 5))
    local.keep("a", local.begin("a"), "one", b"1")
    return local


def test_it_has_what_was_read(local: Local) -> None:
    assert local.knows(5)
    assert local.get("a") == b"1"


def test_news_takes_away_what_it_touches_and_nothing_else(local: Local) -> None:
    local.keep("b", local.begin("b"), "one", b"2")
    local.hear(news(5, 7, "a"))
    assert (local.get("a"), local.get("b"), local.knows(7)) == (None, b"2", True)


def test_news_brings_what_it_has(local: Local) -> None:
    local.hear(news(5, 7, a=b"3"))
    assert local.get("a") == b"3"


def test_what_was_being_read_when_news_touched_it_is_not_kept(local: Local) -> None:
    reading = local.begin("a")
    local.hear(news(5, 7, "a"))
    local.keep("a", reading, "one", b"1")
    assert local.get("a") is None


def test_what_was_being_read_when_it_forgot_is_not_kept(local: Local) -> None:
    reading = local.begin("a")
    local.forget()
    local.hear(news(5, 7))
    local.keep("a", reading, "one", b"1")
    assert local.get("a") is None


def test_what_is_of_another_epoch_is_not_kept(local: Local) -> None:
    local.keep("b", local.begin("b"), "two", b"2")
    assert local.get("b") is None


@pytest.mark.parametrize("next", [news(6, 7), news(5, 7, epoch="two")], ids=["a gap", "another epoch"])
def test_where_news_is_missing_it_forgets(local: Local, next: News) -> None:
    local.hear(next)
    assert local.get("a") is None
    assert local.knows(7)


def test_it_knows_nothing_beyond_what_it_heard_or_after_a_silence(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not local.knows(6)
    monkeypatch.setattr(memory, "monotonic", lambda: local.heard_at + memory.FED_S)
    assert not local.knows()


def test_large_values_are_not_kept(local: Local) -> None:
    large = b"." * (LARGEST + 1)
    local.keep("b", local.begin("b"), "one", large)
    local.hear(news(5, 7, a=large))
    assert (local.get("b"), local.get("a")) == (None, None)
