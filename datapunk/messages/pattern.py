"""Patterns of event names, with the meaning that RabbitMQ's topic exchanges give them.

An event's name is `<module>.<actor>.<EventType>`, as in `lake.dataset.DatasetCreated`. In a pattern `*`
stands for exactly one word and `#` for any number of words, none included: `lake.#`, `*.dataset.*`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from datapunk.errors import InvalidPattern

MOST_WORDS = 16
ANY = "?"  # stands for a word that isn't known; none that an event's name has
WORD = re.compile(r"[A-Za-z0-9_-]{1,100}|\*|#")


class Pattern:
    """Tells which events are meant.

    Args:
        text: words with dots between.

    Raises:
        InvalidPattern: if it's none.
    """

    def __init__(self, text: str) -> None:
        words = text.split(".")
        if len(words) > MOST_WORDS or not all(WORD.fullmatch(word) for word in words):
            raise InvalidPattern(
                f"{text[:200]!r} is not a pattern: up to {MOST_WORDS} words with dots between, each of "
                "letters, digits, '_' and '-', or '*' for any one word, or '#' for any number of words"
            )
        self.text = text
        self._words = tuple(words)
        self._known: dict[tuple[str, str], bool] = {}

    @property
    def module(self) -> str | None:
        """The only module whose events can match, if there's only one."""
        first = self._words[0]
        return None if first in ("*", "#") else first

    def may_mean(self, type: str) -> bool:
        """Whether events of this message type are meant, if they happen to the right kind of actor."""
        module, _, name = type.rpartition(".")
        return _matches(self._words, (module, ANY, name))

    def matches(self, stream: str, type: str) -> bool:
        """Whether an event is meant.

        Args:
            stream: its actor's address, as in `lake.dataset/weather`.
            type: its message type, as in `lake.DatasetCreated`.
        """
        key = (stream.partition("/")[0], type)
        known = self._known.get(key)
        if known is None:
            name = f"{key[0]}.{type.rpartition('.')[2]}"
            known = self._known[key] = _matches(self._words, tuple(name.split(".")))
        return known


@lru_cache(maxsize=4096)
def _matches(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return _matches(pattern[1:], words) or (bool(words) and _matches(pattern, words[1:]))
    return bool(words) and (pattern[0] in ("*", words[0]) or words[0] == ANY) and _matches(pattern[1:], words[1:])
