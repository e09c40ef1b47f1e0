"""`datapunk store`: whether the event store is as it should be."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from datapunk.cli.messaging import Json, Session, open_session, out, print_json
from datapunk.store.connection import connect
from datapunk.verification import Finding, Report, StreamHash, Verifier

app = typer.Typer(no_args_is_help=True)


@app.callback()
def store() -> None:
    """Check that the event store is as it should be."""


@app.command()
def verify(
    every_snapshot: Annotated[
        bool, typer.Option("--all", help="Compare every snapshot with a replay, instead of one in ten.")
    ] = False,
    streams: Annotated[bool, typer.Option("--streams", help="Show the hash of each actor's history, too.")] = False,
    as_json: Json = False,
) -> None:
    """Read all of history: no gaps, all readable, all that is derived from it agrees. Ends with its hash.

    Two stores hold the same history exactly if their hashes are equal. Nothing is written, and processes may go on
    working. Exits with 1 if anything is wrong, after it has shown all of it.
    """
    findings: list[Finding] = []
    hashes: list[StreamHash] = []
    columns = (
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} events"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=0)

        def show(finding: Finding) -> None:
            if as_json:
                findings.append(finding)
            else:
                out().print(f"[red]{finding.problem}[/red]  {escape(finding.where)}: {escape(finding.detail)}")

        def show_hash(stream: StreamHash) -> None:
            if as_json:
                hashes.append(stream)
            else:
                out().print(f"{stream.sha256}  {escape(stream.stream)} v{stream.version} [dim]{stream.tenant}[/dim]")

        def show_progress(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        options: dict[str, Any] = {"on_stream": show_hash} if streams else {}
        report = asyncio.run(
            _verify(
                open_session(), every_snapshot=every_snapshot, on_finding=show, on_progress=show_progress, **options
            )
        )
    if as_json:
        shown: dict[str, Any] = dataclasses.asdict(report) | {"findings": findings}
        print_json(shown | ({"stream_hashes": hashes} if streams else {}))
    else:
        _show(report)
    if report.findings:
        raise typer.Exit(1)


async def _verify(session: Session, **options: Any) -> Report:
    async with await connect(session.settings.database_url) as conn:
        await session.registry.learn(conn)
        return await Verifier(conn, session.registry, session.catalogue.modules, **options).verify()


def _show(report: Report) -> None:
    skipped = f" ({report.skipped_snapshots:,} not compared)" if report.skipped_snapshots else ""
    out().print(
        f"{report.events:,} events of {report.streams:,} actors, {report.snapshots:,} snapshots{skipped}, "
        f"{report.commands:,} processed commands\nsha-256 {report.sha256}"
    )
    if report.findings:
        out().print(f"[red]{report.findings:,} wrong[/red]")
    else:
        out().print("[green]all as it should be[/green]")
