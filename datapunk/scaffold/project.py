"""The files of a new project: those under `project/`, a small module in itself, with its words replaced.

There the module is called `gadgetry`, its actor `widget`. What is generated from schemas isn't kept there, but
generated.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from datapunk.errors import ConfigurationError
from datapunk.messages.generate import generate
from datapunk.scaffold.names import Names

TEMPLATE = Path(__file__).parent / "project"

_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*")  # what running its tests in place leaves behind
_HIDDEN = {"gitignore": ".gitignore"}  # as itself it would act where it lies
_SOURCES = re.compile(r"\n\[tool\.uv\.sources\]\n.*", re.DOTALL)
_OWN_IMPORT = re.compile(r"from (?P<home>[\w.]+) import (?P<names>[\w, ]+)\n")


def write_project(directory: Path, names: Names, versions: str, source: str | None) -> list[Path]:
    """Write a project into a new or empty folder: all of it, or nothing.

    Args:
        directory: the folder.
        names: the words of the project.
        versions: of Datapunk that it works with, as in `>=0.1,<0.2`.
        source: where Datapunk is, from the folder, when it's not on a package index.

    Returns:
        The files, in order.

    Raises:
        ConfigurationError: if there's something in the folder already, or it can't be written.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigurationError(f"{directory} is there already, and not an empty folder; nothing was written")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.resolve().parent, prefix=".datapunk-") as unfinished:
            root = Path(unfinished)
            for path, text in project_files(names, versions, source).items():
                file = root / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            package = root / names.module
            for path, text in generate(package, names.module).items():
                path.write_text(text, encoding="utf-8")
            directory.mkdir(exist_ok=True)
            for part in root.iterdir():
                part.replace(directory / part.name)
    except OSError as error:
        raise ConfigurationError(f"{directory} can't be written: {error.strerror or error}") from None
    return sorted(path for path in directory.rglob("*") if path.is_file())


def project_files(names: Names, versions: str, source: str | None) -> dict[Path, str]:
    """The text of each file that isn't generated, by its path in the project."""
    words = _words(names)
    words["DATAPUNK_VERSIONS"] = versions
    words["DATAPUNK_REQUIREMENT"] = requirement(source)
    words["DATAPUNK_FOLDER"] = source or ""
    files: dict[Path, str] = {}
    for path in sorted(TEMPLATE.rglob("*")):
        place = path.relative_to(TEMPLATE)
        if not path.is_file() or any(_LEFT_OUT("", [part]) for part in place.parts):
            continue
        text = path.read_text(encoding="utf-8")
        if source is None:
            text = _SOURCES.sub("", text)
        text = _replaced(text, words)
        if path.suffix == ".py":
            text = _with_sorted_imports(text, names.module)
        files[Path(_replaced(str(place.with_name(_HIDDEN.get(place.name, place.name))), words))] = text
    return files


def requirement(source: str | None) -> str:
    """What pip is told to install for a project's tests."""
    return "'datapunk[embedded,testing]'" if source is None else f"-e '{source}[embedded,testing]'"


def _words(names: Names) -> dict[str, str]:
    """What replaces what; the longer ones first."""
    prose = names.actor.replace("_", " ")
    article = "an" if prose[0] in "aeiou" else "a"
    return {
        "a widget": f"{article} {prose}",
        "A widget": f"{article.capitalize()} {prose}",
        "a_widget": f"{article}_{names.actor}",
        "Widgets": _class_name(names.actors),
        "widgets": names.actors,
        "Widget": _class_name(names.actor),
        "widget": names.actor,
        "gadgetry": names.module,
    }


def _replaced(text: str, words: dict[str, str]) -> str:
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], text)


def _with_sorted_imports(text: str, module: str) -> str:
    """The order of a module's own imports depends on its words."""
    lines = text.splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if line.startswith(f"from {module}.")]
    ordered = sorted((_with_sorted_names(lines[place]) for place in places), key=str.lower)
    for place, line in zip(places, ordered, strict=True):
        lines[place] = line
    return "".join(lines)


def _with_sorted_names(line: str) -> str:
    """Classes first, each kind by the alphabet."""
    found = _OWN_IMPORT.fullmatch(line)
    assert found is not None  # no other form is in the template
    imported = sorted(found["names"].split(", "), key=lambda name: (name[0].islower(), name.lower()))
    return f"from {found['home']} import {', '.join(imported)}\n"


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
