"""Commands over HTTP: send one, with or without waiting; ask later what became of it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from datapunk.errors import BrokerError
from datapunk.http.bodies import json_response, read_message, sent_on
from datapunk.http.envelopes import actor_id_of, message_id_of, tenant_of
from datapunk.http.facade import TheFacade
from datapunk.http.outcomes import outcome_response
from datapunk.http.problems import Problem, problem_of
from datapunk.messages.catalogue import Kind
from datapunk.messages.message import Command
from datapunk.messages.outcome import Outcome
from datapunk.messages.shown import links_of
from datapunk.store.inbox import lookup_many

MOST_WAIT_S = 60.0

router = APIRouter()


@router.post("/v1/commands/{type}")
async def send_command(
    type: str,
    request: Request,
    facade: TheFacade,
    wait: Annotated[float | None, Query(gt=0, le=MOST_WAIT_S)] = None,
) -> Response:
    """Send a command: 202 once the broker has it safely; with `?wait=<seconds>` its outcome."""
    message_type = facade.catalogue.find(type, Kind.COMMAND)
    actor_id = actor_id_of(request)
    tenant = tenant_of(request, facade.settings.default_tenant)
    message_id = message_id_of(request, tenant)
    command = await read_message(request, message_type, facade.registry)
    assert isinstance(command, Command)  # its type was found among commands
    links = links_of(message_id)
    try:
        with sent_on():
            answer = await facade.client.send(
                command,
                actor_id,
                tenant=tenant,
                message_id=message_id,
                correlation_id=request.state.correlation_id,
                wait=wait is not None,
                timeout_s=wait,
            )
    except BrokerError as error:  # it may have arrived all the same: the id is what the caller asks or tries again by
        problem = problem_of(error)
        problem.members |= {"id": str(message_id), "links": links}
        raise problem from error
    if isinstance(answer, Outcome):
        return outcome_response(answer)
    body = {"id": str(message_id), "type": type, "actor_id": actor_id, "status": "sent", "links": links}
    return json_response(body, 202, {"Location": links["outcome"]})


@router.get("/v1/commands/{id}")
async def get_outcome(id: UUID, request: Request, facade: TheFacade) -> Response:
    """What became of a command: 404 while it isn't processed, and once its record was pruned."""
    tenant = tenant_of(request, facade.settings.default_tenant)
    async with facade.pool.connection() as conn:
        entries = await lookup_many(conn, [(tenant, id)])
    if not entries:
        raise Problem(404, "command_unknown", f"no command {id} was processed (yet)", headers={"Retry-After": "1"})
    outcome = facade.registry.codec(Outcome).decode_binary(entries[0].reply)
    return outcome_response(outcome, position=entries[0].position)
