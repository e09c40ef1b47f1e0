"""A cache of what is made from schemas that strangers write: bounded by their length, and not by their number alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import update_wrapper
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_TEXTS = 1024
MOST_CHARACTERS = 1 << 20  # of all texts together: a codec takes about 100 bytes of memory for each


class TextCache(Generic[T]):
    """A decorator for a function of a text; what wasn't asked for longest goes first. The last one always stays."""

    __wrapped__: Callable[[str], T]

    def __init__(self, make: Callable[[str], T]) -> None:
        update_wrapper(self, make)
        self._make = make
        self._made: OrderedDict[str, T] = OrderedDict()
        self._characters = 0
        self._lock = Lock()

    def __call__(self, text: str) -> T:
        """What is made from a text, perhaps earlier."""
        with self._lock:
            if text in self._made:
                self._made.move_to_end(text)
                return self._made[text]
        made = self._make(text)
        with self._lock:
            if text not in self._made:
                self._made[text] = made
                self._characters += len(text)
            while len(self._made) > 1 and (len(self._made) > MOST_TEXTS or self._characters > MOST_CHARACTERS):
                oldest, _ = self._made.popitem(last=False)
                self._characters -= len(oldest)
        return made
