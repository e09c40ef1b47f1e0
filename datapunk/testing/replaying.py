"""Whether a workflow's code still goes the way that recorded histories went."""

from __future__ import annotations

from pathlib import Path

from temporalio.worker import Replayer

from datapunk.messages.registry import Registry
from datapunk.module import Module, with_installed
from datapunk.temporal.discovery import find_workflows
from datapunk.temporal.histories import read_histories, workflow_of
from datapunk.temporal.payloads import data_converter
from datapunk.temporal.sandbox import workflow_runner


async def replays(module: Module, folder: Path) -> None:
    """Replay all histories in a folder with a module's workflows; needs no server.

    await replays(orders, Path(__file__).parent / "histories")

    Args:
        module: whose workflows.
        folder: with files of histories, as `datapunk workflows record` writes them.

    Raises:
        NondeterminismError: if a workflow does otherwise than it did; a note names the history.
        AssertionError: if there's no history of one of the workflows, or a history of none.
    """
    workflows = find_workflows(module).workflows
    histories = [(file, history, workflow_of(history)) for file, history in read_histories(folder)]
    of_none = sorted(file.name for file, _, workflow in histories if workflow not in workflows)
    assert not of_none, f"{module.name} has no workflows for these histories: {', '.join(of_none)}"
    missing = sorted(set(workflows) - {workflow for *_, workflow in histories})
    assert not missing, f"no history of {', '.join(missing)} in {folder}; see: datapunk workflows record --help"
    registry = Registry.of(with_installed([module]))
    replayer = Replayer(
        workflows=list(workflows.values()),
        workflow_runner=workflow_runner(registry),
        data_converter=data_converter(registry),
    )
    for file, history, _ in histories:
        try:
            await replayer.replay_workflow(history)
        except Exception as error:
            error.add_note(f"in the replay of {file}")
            raise
