"""Finding installed modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from datapunk.errors import ConfigurationError
from datapunk.module import find_modules


def install(folder: Path, name: str, target: str) -> None:
    """Put the metadata of a package with one module into a folder."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[datapunk.modules]\n{name} = {target}\n")


def test_installed_modules_are_found_by_name() -> None:
    assert find_modules(["lake"])["lake"].name == "lake"


def test_a_name_that_is_not_installed_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match=r"no module named 'lak' is installed; installed: .*lake"):
        find_modules(["lak"])


@pytest.mark.parametrize("target", ["nowhere.module:broken", "datapunk.module:broken"])
def test_a_module_that_cannot_load_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    install(tmp_path, "broken", target)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match=r"module broken .* can't be imported"):
        find_modules()


def test_an_entry_point_that_is_no_module_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "something", "json:dumps")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match=r"something .* is not a"):
        find_modules(["something"])
