"""The rules of the house that no other tool checks."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from datapunk.cli.main import commands
from datapunk.errors import DatapunkError

ROOT = Path(__file__).parents[1]
MOST_LINES = 400  # of a file: beyond, it has more than one idea
NAMES_THAT_SAY_NOTHING = {"base", "common", "helper", "helpers", "misc", "shared", "util", "utils"}

# What would tie the repository to one person's machine or network.
PLACES = re.compile(r"/(?:home|Users|work)/\w+/|(?:pypi|npmjs|pythonhosted|golang|crates)\.(?:org|com|io)\b")


def tracked(pattern: str = "*") -> list[Path]:
    """The files in the repository, as they are here and now."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", pattern],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_a_file_has_one_idea() -> None:
    lines = {relative(path): path.read_text().count("\n") for path in tracked("*.py")}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_a_name_says_what_is_in_a_file() -> None:
    paths = [path.relative_to(ROOT) for path in tracked()]
    assert [str(path) for path in paths if NAMES_THAT_SAY_NOTHING & {*path.parts, path.stem}] == []


def test_every_sql_statement_is_used() -> None:
    code = "".join(path.read_text() for path in tracked("datapunk/*.py"))
    statements = [path.stem for path in tracked("datapunk/store/sql/*.sql")]
    assert statements
    assert [name for name in statements if f'"{name}"' not in code] == []


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_a_module_speaks_to_another_by_messages_only() -> None:
    found = []
    for path in [*tracked("actors/*/*.py"), *tracked("projections/*/*.py"), *tracked("schemas/*/*.py")]:
        folder, module = path.relative_to(ROOT).parts[:2]
        # Another module's schemas are its public side; its actors and projections aren't.
        private = ("actors", "projections", "schemas") if folder == "schemas" else ("actors", "projections")
        for name in imports(path):
            kind, _, rest = name.partition(".")
            if kind in private and rest.partition(".")[0] != module:
                found.append(f"{relative(path)} imports {name}")
    assert found == []


def errors(root: type[DatapunkError]) -> Iterator[type[DatapunkError]]:
    for error in root.__subclasses__():
        yield error
        yield from errors(error)


def test_every_error_code_is_explained() -> None:
    page = (ROOT / "docs/reference/errors.md").read_text()
    codes = {error.code for error in errors(DatapunkError) if error.__module__.startswith("datapunk.")}
    assert {code for code in codes if f"`{code}`" not in page} == set()


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_commands_that_people_are_told_to_use_exist() -> None:
    known = {f"make {name}" for name in targets()} | {f"datapunk {name}" for name in commands()}
    known.add("datapunk orders")  # what a module of a reader's own would bring
    told = {
        relative(path): set(re.findall(r"(?:`|\$ )((?:make|datapunk) [a-z][a-z-]*)", path.read_text()))
        for path in [*tracked("*.md"), *tracked("datapunk/*.py")]
    }
    assert {name: words - known for name, words in told.items() if words - known} == {}


def test_links_between_pages_lead_somewhere() -> None:
    lost = []
    for page in tracked("*.md"):
        links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text())
        lost += [f"{relative(page)}: {link}" for link in links if not (page.parent / link).exists()]
    assert lost == []


def test_nothing_depends_on_where_it_was_written() -> None:
    found = []
    for path in tracked():
        if path == Path(__file__) or path.name == "uv.lock" or path.suffix in {".png", ".ico"}:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if PLACES.search(line):
                found.append(f"{relative(path)}:{number}: {line.strip()[:120]}")
    assert found == []
