"""`datapunk query`: a question, answered from projections."""

from __future__ import annotations

import asyncio
from typing import Annotated, cast

import typer

from datapunk.cli.completion import types
from datapunk.cli.messaging import (
    Avro,
    Json,
    Session,
    Tenant,
    TimeoutS,
    decode_data,
    open_session,
    out,
    print_json,
    read_data,
    traced,
)
from datapunk.client import Client
from datapunk.messages.catalogue import Kind
from datapunk.messages.message import Answer, Query


def query(
    type: Annotated[
        str, typer.Argument(help="The query's type, as in lake.ListDatasets.", autocompletion=types("query"))
    ],
    data: Annotated[str, typer.Option("--data", help="Its fields as JSON; @file, or - for standard input.")] = "{}",
    after: Annotated[
        int | None,
        typer.Option("--after", min=0, help="Answer as of this position or later: that of a command's outcome."),
    ] = None,
    tenant: Tenant = None,
    avro: Avro = False,
    timeout_s: TimeoutS = 10.0,
    as_json: Json = False,
) -> None:
    """Ask a query, and show the answer as plain JSON (on one line with --json).

    --data is plain JSON, as over HTTP; what isn't valid as such is read as Avro JSON. With --avro it's always
    Avro JSON.
    """
    session = open_session()
    message_type = session.catalogue.find(type, Kind.QUERY)
    question = cast(Query, decode_data(read_data(data), message_type, session.registry, is_avro=avro))
    with traced(session.settings, "query"):
        answer = asyncio.run(_ask(session, question, tenant or session.settings.default_tenant, after, timeout_s))
    body = session.catalogue.find(answer.message_type, Kind.ANSWER).plain.encode(answer)
    if as_json:
        print_json(body)
    else:
        out().print_json(body.decode())


async def _ask(session: Session, question: Query, tenant: str, after: int | None, timeout_s: float) -> Answer:
    async with Client(session.settings, session.registry) as client:
        return await client.ask(question, tenant=tenant, after_position=after, timeout_s=timeout_s)
