"""A module in a temporary folder, whose schemas tests change as its authors would."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from datapunk.messages import upcasters
from datapunk.messages.generate import generate
from datapunk.messages.registry import Registry
from datapunk.messages.released import release
from datapunk.messages.schema import load_folder, read_definitions
from datapunk.module import Module

_numbers = count(1)


class Scratch:
    """`schemas/shop` in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home, self.package = home, f"scratch{next(_numbers)}"
        self.root = home / self.package / "shop"

    def write(self, kind: str, name: str, *fields: dict[str, Any], **attributes: Any) -> None:
        """One .avsc file; `kind` is its folder."""
        definition = {"type": "record", "name": name, "namespace": "shop", **attributes, "fields": list(fields)}
        file = self.root / kind / f"{name}.avsc"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(definition))

    def generate(self) -> None:
        """Its classes."""
        for folder in (self.root.parent, self.root):
            (folder / "__init__.py").touch()
        for path, text in generate(self.root, f"{self.package}.shop").items():
            path.write_text(text)

    def release(self) -> None:
        """What there is now becomes history."""
        shared = read_definitions(sorted((self.root / "types").glob("*.avsc")))
        for kind in ("commands", "events", "queries"):
            for schema in load_folder(self.root / kind, shared).values():
                release(self.root, schema)

    def registry(self) -> Registry:
        """As a process that starts now would have it."""
        self.generate()
        for name in [name for name in sys.modules if name.partition(".")[0] == self.package]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return Registry.of([Module("shop", f"{self.package}.shop")])


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scratch]:
    """An empty module."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # files change within the second that caches look at
    monkeypatch.setattr(upcasters, "_upcasters", {})
    made = Scratch(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] == made.package]:
        del sys.modules[name]
