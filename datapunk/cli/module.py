"""`datapunk module`: a module of one's own, in a project of one's own."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from datapunk.scaffold.names import names_of
from datapunk.scaffold.project import requirement, write_project

app = typer.Typer(no_args_is_help=True)


@app.callback()
def module() -> None:
    """Start a module of your own."""


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Of the module, as in orders: a plural in lower case.")],
    directory: Annotated[
        Path | None, typer.Option(help="The folder to make; by default one of the module's name, here.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option(help="What one of its actors is, as in order; by default the name's singular.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a project with a module that works: schemas, an actor, a projection, a query, and tests.

    It's an ordinary Python project, yours to change. Datapunk finds the module by the entry point in its
    pyproject.toml as soon as the project is installed beside it.
    """
    names = names_of(name, actor)
    folder = directory or Path(names.module)
    source = _source(folder)
    files = write_project(folder, names, _versions(), source)
    written = [str(path) for path in files]
    steps = [
        f"cd {shlex.quote(str(folder))}",
        "python3 -m venv .venv && source .venv/bin/activate",
        f"pip install {requirement(source)} -e .",
        "pytest",
        "datapunk up --detach",
        f"datapunk run {names.module}",
    ]
    if as_json:
        answer = {"module": names.module, "directory": str(folder), "files": written, "next": steps}
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    typer.echo("".join(f"wrote {path}\n" for path in written) + f"{len(written)} files written; next:\n")
    typer.echo("\n".join(f"  {step}" for step in steps))
    typer.echo("\nWith uv, `uv run pytest` does the second, third and fourth. What is what: README.md")


def _versions() -> str:
    """The versions of Datapunk that a new project asks for: this one and its mends."""
    found = re.match(r"(\d+)\.(\d+)", distribution("datapunk").version)
    assert found is not None  # versions of ours have two numbers at least
    major, minor = int(found[1]), int(found[2])
    return f">={major}.{minor},<{major}.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}"


def _source(folder: Path) -> str | None:
    """Where Datapunk's own project is, as seen from a folder; none if it was installed from a package index."""
    text = distribution("datapunk").read_text("direct_url.json")
    if text is None:
        return None
    url = urlsplit(str(json.loads(text)["url"]))
    if url.scheme != "file" or not Path(unquote(url.path), "pyproject.toml").is_file():
        return None
    return Path(os.path.relpath(unquote(url.path), folder.resolve())).as_posix()
