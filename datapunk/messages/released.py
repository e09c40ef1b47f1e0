"""Released history: each version of a message's schema that was ever in a release, in the repository.

`schemas/<module>/released/<Name>/<version>.avsc`, self-contained, written by `datapunk schemas release`, never
changed afterwards. What is in there may be in somebody's event store.
"""

from __future__ import annotations

from pathlib import Path

from datapunk.messages.schema import AvroSchema, parse_text


def released_versions(root: Path, name: str) -> list[AvroSchema]:
    """The released versions of a message type, oldest first.

    Args:
        root: the module's schema folder.
        name: the full name.
    """
    return [parse_text(file.read_text(encoding="utf-8")) for file in _files(root, name)]


def release(root: Path, schema: AvroSchema) -> Path | None:
    """Add a schema to the history, unless it's the last one there; returns the file written."""
    files = _files(root, schema.name)
    if files and parse_text(files[-1].read_text(encoding="utf-8")).text == schema.text:
        return None
    file = root / "released" / schema.name.rpartition(".")[2] / f"{len(files) + 1}.avsc"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(schema.text + "\n", encoding="utf-8")
    return file


def _files(root: Path, name: str) -> list[Path]:
    folder = root / "released" / name.rpartition(".")[2]
    return sorted(folder.glob("*.avsc"), key=lambda file: int(file.stem))
