"""`datapunk stream`: check, compare, apply, list and steer pipelines. CEL is loaded by what checks alone."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datapunk.cli.messaging import REJECTED, Json, Session, Tenant, open_session, out, print_json
from datapunk.client import Client
from datapunk.errors import QueryFailed
from datapunk.messages.message import Command
from datapunk.messages.outcome import Outcome, Status
from schemas.stream.commands import DefinePipeline, DrainPipeline, PausePipeline, ResumePipeline, StopPipeline
from schemas.stream.queries import GetPipeline, ListPipelines, Pipeline, PipelineList
from schemas.stream.types import InputSchema, PipelineState, PipelineSummary

if TYPE_CHECKING:
    from pipelines.stream.plan import Plan

HELP = "Pipelines: filter, join and aggregate events as they come. Check, compare, apply and steer them."

app = typer.Typer(no_args_is_help=True, help=HELP)


def _ids(incomplete: str) -> list[str]:
    """What completes the id of a pipeline."""
    try:
        query = ListPipelines(prefix=incomplete)
        return [each.pipeline for each in asyncio.run(_list(open_session(), query, None))]
    except Exception:  # what is wrong is told by the command itself, not between two keys
        return []


File = Annotated[Path, typer.Argument(help="The YAML; - is standard input.")]
Id = Annotated[str, typer.Argument(help="The pipeline's id.", autocompletion=_ids)]
Datasets = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset", metavar="ID=FILE", help="A dataset's Avro schema, so that none is asked for; repeatable."
    ),
]
Why = Annotated[str, typer.Option("--why", help="Why: kept with it.")]


@app.callback()
def stream() -> None:
    """Pipelines: filter, join and aggregate events as they come. Check, compare, apply and steer them."""


@app.command()
def validate(file: File, datasets: Datasets = None, tenant: Tenant = None, as_json: Json = False) -> None:
    """Check a definition: all that is wrong is told with line and column. Nothing is changed."""
    plan, _, _ = _planned(file, datasets, tenant, as_json=as_json)
    if as_json:
        print_json({"pipeline": plan.definition.pipeline, "problems": []})
    else:
        out().print(f"[green]valid[/green] {plan.definition.pipeline}: {len(plan.steps)} steps")


@app.command()
def plan(file: File, datasets: Datasets = None, tenant: Tenant = None, as_json: Json = False) -> None:
    """Show what applying a definition would change, and which fields leave each step."""
    from actors.stream.cli.showing import change, plan_values, show_plan

    made, text, _ = _planned(file, datasets, tenant, as_json=as_json)
    says = change(text, asyncio.run(_find(open_session(), made.definition.pipeline, tenant)))
    if as_json:
        print_json(plan_values(made, says))
    else:
        show_plan(made, says)


@app.command()
def diff(file: File, tenant: Tenant = None) -> None:
    """Show how a definition differs from the one that is applied."""
    from actors.stream.cli.showing import difference

    text = _read(file)
    name = _read_definition(text, file, as_json=False)[0].pipeline
    sys.stdout.write(difference(asyncio.run(_find(open_session(), name, tenant)), text, name))


@app.command()
def apply(file: File, tenant: Tenant = None, as_json: Json = False) -> None:
    """Define a pipeline, or change its definition. What is unchanged stays as it is."""
    made, text, inputs = _planned(file, None, tenant, as_json=as_json)
    name = made.definition.pipeline
    outcome = _send(DefinePipeline(text=text, inputs=inputs), name, tenant)
    if as_json:
        print_json({"pipeline": name, "changed": bool(outcome.events)})
    else:
        out().print(f"[green]{'defined' if outcome.events else 'unchanged'}[/green] {name}")


@app.command("list")
def list_(
    prefix: Annotated[str, typer.Option("--prefix", help="Only ids that start so.")] = "",
    state: Annotated[
        PipelineState | None, typer.Option("--state", case_sensitive=False, help="Only those that stand so.")
    ] = None,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """List pipelines."""
    from actors.stream.cli.showing import show_list

    query = ListPipelines(prefix=prefix, state=state, limit=1000)
    show_list(asyncio.run(_list(open_session(), query, tenant)), as_json=as_json)


@app.command()
def show(
    pipeline: Id,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Which; by default the latest.")] = None,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Show a pipeline and its definition."""
    from actors.stream.cli.showing import show_pipeline

    show_pipeline(asyncio.run(_get(open_session(), pipeline, tenant)), version, as_json=as_json)


@app.command()
def pause(pipeline: Id, why: Why = "", tenant: Tenant = None, as_json: Json = False) -> None:
    """Take no records in until it's resumed."""
    _steer(PausePipeline(reason=why), "paused", pipeline, tenant, as_json=as_json)


@app.command()
def resume(pipeline: Id, tenant: Tenant = None, as_json: Json = False) -> None:
    """Go on where it was paused."""
    _steer(ResumePipeline(), "resumed", pipeline, tenant, as_json=as_json)


@app.command()
def drain(pipeline: Id, why: Why = "", tenant: Tenant = None, as_json: Json = False) -> None:
    """Take no more records in, let all results out, and be done."""
    _steer(DrainPipeline(reason=why), "draining", pipeline, tenant, as_json=as_json)


@app.command()
def stop(pipeline: Id, why: Why = "", tenant: Tenant = None, as_json: Json = False) -> None:
    """Stop for good, at once."""
    _steer(StopPipeline(reason=why), "stopped", pipeline, tenant, as_json=as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of definitions, for editors; it needs no server."""
    from pipelines.stream.definition.model import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


def _steer(command: Command, done: str, pipeline: str, tenant: str | None, *, as_json: bool) -> None:
    outcome = _send(command, pipeline, tenant)
    if as_json:
        print_json({"pipeline": pipeline, "changed": bool(outcome.events)})
    else:
        out().print(f"[green]{done}[/green] {pipeline}" + ("" if outcome.events else ", as it was"))


def _planned(
    file: Path, datasets: list[str] | None, tenant: str | None, *, as_json: bool
) -> tuple[Plan, str, list[InputSchema]]:
    """A definition, checked, with its text and the schemas that it was checked with; or the end."""
    from actors.stream.cli.resolving import Resolver
    from pipelines.stream.definition.problems import InvalidDefinition
    from pipelines.stream.planning import check

    text = _read(file)
    definition, document = _read_definition(text, file, as_json=as_json)
    files = {}
    for each in datasets or ():
        name, is_there, path = each.partition("=")
        if not is_there:
            raise typer.BadParameter("--dataset is an id, '=' and a file, as in flights=flights.avsc")
        files[name] = Path(path)
    known, inputs = asyncio.run(Resolver(open_session(), tenant, files).resolve(definition))
    try:
        return check(definition, document, known), text, inputs
    except InvalidDefinition as error:
        _end(error, text, file, as_json=as_json)
        raise  # it ended


def _read_definition(text: str, file: Path, *, as_json: bool) -> tuple[Any, Any]:
    from pipelines.stream.definition.problems import InvalidDefinition
    from pipelines.stream.definition.reading import read

    try:
        return read(text)
    except InvalidDefinition as error:
        _end(error, text, file, as_json=as_json)
        raise  # it ended


def _end(error: Any, text: str, file: Path, *, as_json: bool) -> None:
    name = "standard input" if str(file) == "-" else str(file)
    if as_json:
        problems = [
            {"file": name, "line": each.place.line, "column": each.place.column, "message": each.message}
            for each in error.problems
        ]
        print_json({"problems": problems})
    else:
        for each in error.problems:
            typer.echo(each.shown(text, name), err=True)
    raise typer.Exit(1)


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"can't read {file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{file} isn't UTF-8: {error}") from None


async def _list(session: Session, query: ListPipelines, tenant: str | None) -> list[PipelineSummary]:
    async with Client(session.settings, session.registry) as client:
        page = await client.ask(query, tenant=tenant)
        assert isinstance(page, PipelineList)
        return page.pipelines


async def _get(session: Session, pipeline: str, tenant: str | None) -> Pipeline:
    async with Client(session.settings, session.registry) as client:
        found = await client.ask(GetPipeline(pipeline=pipeline), tenant=tenant)
        assert isinstance(found, Pipeline)
        return found


async def _find(session: Session, pipeline: str, tenant: str | None) -> Pipeline | None:
    try:
        return await _get(session, pipeline, tenant)
    except QueryFailed as error:
        if error.error_code == "pipeline_unknown":
            return None
        raise


def _send(command: Command, pipeline: str, tenant: str | None) -> Outcome:
    async def send() -> Outcome:
        session = open_session()
        async with Client(session.settings, session.registry) as client:
            return await client.send(command, pipeline, tenant=tenant)

    outcome = asyncio.run(send())
    if outcome.status is not Status.Accepted:
        typer.echo(f"{outcome.code}: {outcome.message}", err=True)
        raise typer.Exit(REJECTED)
    return outcome
