"""`datapunk workflows`: recording what they did."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from temporalio.client import WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from datapunk.cli.messaging import Json, print_json
from datapunk.errors import ConfigurationError
from datapunk.messages.registry import Registry
from datapunk.module import find_modules
from datapunk.settings import Settings, load_settings
from datapunk.temporal.connection import connect
from datapunk.temporal.histories import write_history

app = typer.Typer(no_args_is_help=True)


@app.command()
def record(
    workflow: Annotated[str, typer.Argument(help="The id, as in CancelUnpaid/default/1000.")],
    file: Annotated[Path, typer.Argument(help="Where to, as in tests/histories/CancelUnpaid-paid.json.")],
    as_json: Json = False,
) -> None:
    """Write what a workflow did to a file, for tests of changes to its code to replay.

    The file holds its messages, too: beware of personal data.
    """
    write_history(asyncio.run(_history(load_settings(), workflow)), file)
    if as_json:
        print_json({"workflow": workflow, "file": str(file)})
    else:
        typer.echo(f"{workflow} is recorded in {file}; replay it in a test with datapunk.testing.replays")


async def _history(settings: Settings, id: str) -> WorkflowHistory:
    temporal = await connect(settings, Registry.of(find_modules().values()))
    try:
        return await temporal.get_workflow_handle(id).fetch_history()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise ConfigurationError(
            f"there is no workflow {id!r} in the namespace {temporal.namespace!r}; Temporal's web UI at "
            f"{settings.temporal_ui_url} lists them"
        ) from None
