"""The dataset that rows go into: found, or made with a schema that fits them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from uuid import uuid5

import msgspec

from datapunk.client import Client
from datapunk.errors import QueryFailed, ReplyTimeout
from schemas.lake.commands import CreateDataset
from schemas.lake.queries import Dataset, GetDataset
from workflows.lake.files.errors import BadFile
from workflows.lake.files.inference import Inference
from workflows.lake.files.plan import NAMESPACE, OnRows, Options, Plan
from workflows.lake.files.records import Target
from workflows.lake.files.sending import must_be_accepted

STARTING_S = 30.0  # for a worker that has just started
AGAIN_S = 0.2


async def find_dataset(client: Client, dataset: str, tenant: str) -> Dataset | None:
    """A dataset, if it's there.

    Raises:
        QueryFailed: if Lake can't tell.
    """
    until = time.monotonic() + STARTING_S
    while True:
        try:
            found = await client.ask(GetDataset(dataset=dataset), tenant=tenant)
        except QueryFailed as error:
            if error.error_code == "dataset_unknown":
                return None
            if error.error_code != ReplyTimeout.code or time.monotonic() > until:
                raise
            await asyncio.sleep(AGAIN_S)  # its tables don't exist yet
        else:
            assert isinstance(found, Dataset)  # what this query is answered with
            return found


def target_of(found: Dataset) -> Target:
    """A dataset as something to load into."""
    summary = found.summary
    return Target(summary.dataset, found.schema, found.key, summary.partitions, tuple(found.indexes))


def inferred_schema(
    dataset: str, plans: Sequence[Plan], options: Options, key: str | None, on_rows: OnRows, sample: int | None = None
) -> str:
    """The schema that all rows of some files fit, as JSON text.

    Args:
        dataset: names it.
        plans: the files.
        options: how they're read.
        key: a field that is never null.
        on_rows: is told how many rows were looked at.
        sample: rows of each file to look at; none: all.

    Raises:
        BadFile: if there's no such schema.
    """
    is_text = {plan.reader.is_text for plan in plans}
    if len(is_text) > 1:
        raise BadFile("files with types and files of text are one schema only if you give it: --schema")
    inference = Inference(dataset, is_text=is_text.pop(), nulls=options.nulls, ignored=options.ignored)
    seen = [plan.infer(inference, on_rows, sample) for plan in plans]
    return inference.schema(is_whole=all(seen), never_null=(key,))


async def create_dataset(client: Client, target: Target, tenant: str) -> None:
    """Create the dataset; again and by whomever: once.

    Raises:
        LoadFailed: if Lake refuses.
    """
    command = CreateDataset(
        name=target.dataset,
        schema=target.schema,
        key=target.key,
        partitions=target.partitions,
        indexes=list(target.indexes),
    )
    id = uuid5(NAMESPACE, msgspec.json.encode((tenant, target.dataset, command)).decode())
    must_be_accepted(await client.send(command, target.dataset, tenant=tenant, message_id=id))
