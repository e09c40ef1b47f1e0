"""`datapunk workflows`: recording what they did, and sending new ones to a release."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from temporalio.client import WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from datapunk.cli import completion
from datapunk.cli.messaging import Json, print_json
from datapunk.errors import ConfigurationError
from datapunk.messages.registry import Registry
from datapunk.module import find_modules
from datapunk.settings import Settings, load_settings
from datapunk.temporal import releases
from datapunk.temporal.connection import connect
from datapunk.temporal.discovery import find_workflows
from datapunk.temporal.histories import write_history
from datapunk.temporal.upkeep import RUNTIME

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


@app.command()
def release(
    build_id: Annotated[str, typer.Argument(help="The DATAPUNK_BUILD_ID of the workers they go to.")],
    modules: Annotated[
        list[str] | None,
        typer.Argument(help="Of these modules; of all if none is named.", autocompletion=completion.modules),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send new workflows to a release; those under way stay with the one they began under: run its workers on."""
    names = sorted(find_modules(modules))
    with_workflows = [name for name in names if find_workflows(find_modules([name])[name]).workflows]
    released = [*with_workflows, *([] if modules else [RUNTIME.name])]
    asyncio.run(_release(load_settings(), released, build_id))
    if as_json:
        print_json({"build_id": build_id, "modules": released})
    else:
        typer.echo(f"new workflows of {', '.join(released) or 'no module'} go to {build_id}")


async def _release(settings: Settings, modules: list[str], build_id: str) -> None:
    temporal = await connect(settings, Registry.of(find_modules().values()))
    for module in modules:
        try:
            await releases.release(temporal, module, build_id)
        except RPCError as error:
            if error.status not in releases.NOT_YET:
                raise
            raise ConfigurationError(
                f"no worker of {module} with DATAPUNK_BUILD_ID={build_id} was ever here ({error.message}); start one: "
                "datapunk run --with workflows"
            ) from None


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
