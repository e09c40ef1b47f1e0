"""What is kept of what was made from texts."""

from __future__ import annotations

import pytest

from datapunk.messages import text_cache
from datapunk.messages.text_cache import TextCache


class Making:
    """Makes lengths, and remembers of which texts it was asked to."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.length = TextCache(self._length)

    def _length(self, text: str) -> int:
        self.made.append(text)
        return len(text)

    def again(self, *texts: str) -> list[str]:
        """Those of these texts that had to be made again."""
        self.made.clear()
        assert [self.length(text) for text in texts] == [len(text) for text in texts]
        return self.made


@pytest.fixture
def making(monkeypatch: pytest.MonkeyPatch) -> Making:
    """A cache of three texts, or of ten characters."""
    monkeypatch.setattr(text_cache, "MOST_TEXTS", 3)
    monkeypatch.setattr(text_cache, "MOST_CHARACTERS", 10)
    return Making()


def test_what_was_made_is_not_made_again(making: Making) -> None:
    making.again("a", "b", "c")
    assert making.again("a", "b", "c") == []


def test_what_was_asked_for_longest_ago_goes_when_there_are_too_many(making: Making) -> None:
    making.again("a", "b", "c", "a", "d")
    assert making.again("a", "c", "d") == []
    assert making.again("b") == ["b"]


def test_it_goes_when_they_are_too_long(making: Making) -> None:
    making.again("aaaa", "bbbb", "cccc")
    assert making.again("bbbb", "cccc") == []
    assert making.again("aaaa") == ["aaaa"]


def test_one_that_is_too_long_by_itself_stays_until_the_next(making: Making) -> None:
    making.again("short", "a" * 20)
    assert making.again("a" * 20) == []
    assert making.again("short", "a" * 20) == ["short", "a" * 20]


def test_what_cannot_be_made_is_tried_again() -> None:
    calls: list[str] = []

    @TextCache
    def fail(text: str) -> int:
        calls.append(text)
        raise ValueError(text)

    for _ in range(2):
        with pytest.raises(ValueError, match="a"):
            fail("a")
    assert calls == ["a", "a"]
