"""The reference pages that come from the code are as the code is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PAGES = ("cli.md", "settings.md", "errors.md", "metrics.md")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", Path("docs/generate.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(generate: ModuleType, name: str) -> None:
    (path,) = [path for path in generate.pages() if path.name == name]
    assert path.read_text() == generate.pages()[path], "run: python docs/generate.py"


def test_every_page_is_in_the_navigation() -> None:
    navigation = Path("mkdocs.yml").read_text()
    assert all(f"reference/{name}" in navigation for name in (*PAGES, "http.md"))
