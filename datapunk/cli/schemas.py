"""`datapunk schemas`: the .avsc files, the classes generated from them, and their released history."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from datapunk.cli.messaging import open_session
from datapunk.errors import ConfigurationError, SchemaError, UnknownMessageType
from datapunk.http.asyncapi import asyncapi_document
from datapunk.messages.evolution import violations
from datapunk.messages.generate import FOLDERS, generate, generate_single
from datapunk.messages.released import release, released_versions
from datapunk.messages.schema import AvroSchema, load_folder, read_definitions
from datapunk.module import find_modules

app = typer.Typer(no_args_is_help=True)

OWN = Path(__file__).parent.parent / "messages"  # Datapunk's own messages: one file, not a package

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Root = Annotated[Path, typer.Option("--root", help="The folder with a folder of schemas for each module.")]


@dataclass(frozen=True)
class Found:
    """A message's schema, where it is and what was released of it."""

    folder: Path
    kind: str
    schema: AvroSchema
    released: list[AvroSchema]

    @property
    def file(self) -> Path:
        """Its .avsc file."""
        return self.folder / self.kind / f"{self.schema.name.rpartition('.')[2]}.avsc"

    @property
    def version(self) -> int:
        """The version it is, or would become when released."""
        for version, old in enumerate(self.released, 1):
            if old.text == self.schema.text:
                return version
        return len(self.released) + 1

    @property
    def is_released(self) -> bool:
        """Whether it's in the history as it is."""
        return self.version <= len(self.released)


@app.command("generate")
def generate_classes(root: Root = Path("schemas")) -> None:
    """Write the Python classes that the .avsc files call for."""
    written = 0
    for path, text in _texts(root).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            typer.echo(f"wrote {path}")
            written += 1
    typer.echo(f"{written} files written" if written else "everything is up to date")


@app.command()
def check(root: Root = Path("schemas"), as_json: Json = False) -> None:
    """Fail if classes aren't what the .avsc files say, or a change breaks what was released."""
    problems = [
        f"{path} isn't what its .avsc files say; run `datapunk schemas generate`"
        for path, text in _texts(root).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    checked = 0
    for found in _schemas(root):
        checked += 1
        problems += _violations(found)
        if not found.released:
            problems.append(f"{found.file}: {found.schema.name} was never released; run `datapunk schemas release`")
    if as_json:
        sys.stdout.write(msgspec.json.encode({"checked": checked, "problems": problems}).decode() + "\n")
    elif problems:
        for problem in problems:
            typer.echo(problem, err=True)
        typer.echo("How to change a schema: docs/how-to/change-a-schema.md", err=True)
    else:
        typer.echo(f"{checked} schemas: classes are up to date, and every change is compatible")
    if problems:
        raise typer.Exit(1)


@app.command("list")
def list_schemas(root: Root = Path("schemas"), as_json: Json = False) -> None:
    """List every message with its version and fingerprint."""
    rows = [
        {
            "type": found.schema.name,
            "kind": found.kind,
            "version": found.version,
            "released": found.is_released,
            "fingerprint": found.schema.fingerprint,
        }
        for found in _schemas(root)
    ]
    if as_json:
        sys.stdout.write(msgspec.json.encode(rows).decode() + "\n")
        return
    table = Table("type", "kind", "version", "fingerprint", box=None)
    for row in rows:
        table.add_row(
            str(row["type"]),
            str(row["kind"]),
            f"{row['version']}{'' if row['released'] else ' (new)'}",
            str(row["fingerprint"]),
        )
    Console().print(table)


@app.command()
def show(
    type: Annotated[str, typer.Argument(help="As in lake.CreateDataset.")],
    version: Annotated[int | None, typer.Option(help="A released version; by default the present one.")] = None,
    root: Root = Path("schemas"),
) -> None:
    """Print a message's schema, self-contained."""
    for found in _schemas(root):
        if found.schema.name == type:
            if version is not None and not 1 <= version <= len(found.released):
                raise SchemaError(f"{type} has {len(found.released)} released versions")
            schema = found.schema if version is None else found.released[version - 1]
            Console().print(Syntax(schema.text, "json", background_color="default"))
            return
    raise UnknownMessageType(f"{root} has no message {type!r}; see: datapunk schemas list")


@app.command("asyncapi")
def write_asyncapi() -> None:
    """Print the AsyncAPI 3 document of all installed modules; it needs no server."""
    session = open_session()
    document = asyncapi_document(session.registry, session.catalogue, session.settings.broker_url)
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


@app.command("release")
def release_schemas(root: Root = Path("schemas")) -> None:
    """Add what is new or changed to the released history; do this with every release."""
    for found in _schemas(root):
        broken = _violations(found)
        if broken:
            raise SchemaError("nothing was released: " + "; ".join(broken))
    count = 0
    for found in _schemas(root):
        file = release(found.folder, found.schema)
        if file is not None:
            typer.echo(f"released {found.schema.name} as {file}")
            count += 1
    typer.echo(f"{count} schemas released" if count else "nothing new to release")


def _violations(found: Found) -> list[str]:
    """What forbids the schema as it is now, with its file."""
    broken = violations(found.kind, found.schema, found.released)
    if broken:
        find_modules()  # importing them registers their upcasters, which may allow it
        broken = violations(found.kind, found.schema, found.released)
    return [f"{found.file}: {reason}" for reason in broken]


def _modules(root: Path) -> list[Path]:
    if not root.is_dir():
        raise ConfigurationError(f"there is no folder {root}; say where the schemas are with --root")
    return [
        folder
        for folder in sorted(root.iterdir())
        if any((folder / name).is_dir() for name in FOLDERS if folder.is_dir())
    ]


def _import_name(folder: Path) -> str:
    """The import name of a folder: from the outermost of the packages that it's in."""
    folder = folder.resolve()
    names = [folder.name]
    for parent in folder.parents:
        if not (parent / "__init__.py").exists():
            break
        names.append(parent.name)
    return ".".join(reversed(names))


def _texts(root: Path) -> dict[Path, str]:
    """What every generated file should contain."""
    texts: dict[Path, str] = {}
    for folder in _modules(root):
        texts.update(generate(folder, _import_name(folder)))
    if Path.cwd() / "datapunk" / "messages" == OWN:  # only in our own repository
        own: Any = sorted((OWN / "schemas").glob("*.avsc"))
        texts.update({OWN / f"{file.stem.lower()}.py": generate_single(file, "datapunk") for file in own})
    return texts


def _schemas(root: Path) -> Iterator[Found]:
    for folder in _modules(root):
        shared = read_definitions(sorted((folder / "types").glob("*.avsc")))
        for kind in FOLDERS:
            if kind == "types":
                continue
            for schema in load_folder(folder / kind, shared).values():
                yield Found(folder, kind, schema, released_versions(folder, schema.name))
