"""How a workflow speaks to actors and projections: `send` and `ask`, by activities that every worker has.

A command's id derives from workflow, run and activity: however often Temporal tries the activity again, the
inbox sees one command, and answers as it did the first time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from datapunk.client import Client
from datapunk.errors import QueryFailed
from datapunk.messages.message import Answer, Command, Query
from datapunk.messages.outcome import Outcome, Status
from datapunk.temporal.attributes import CORRELATION, TENANT

SEND, ASK = "datapunk.send", "datapunk.ask"
# Ids of commands are UUIDs of version 5 (RFC 9562) in this name space, of "<namespace>/<workflow>/<run>/<activity>".
COMMAND_SPACE = UUID("7c0f0a86-5a0b-4f4b-9a54-0f4e1b3c5d21")
ATTEMPT = timedelta(seconds=60)  # one attempt, the wait for the outcome included
PATIENCE = timedelta(seconds=30)  # longest pause between two attempts


class CommandRejected(ApplicationError):
    """An actor said no. Uncaught it ends the workflow.

    Attributes:
        code: of the rejection, as in `dataset_unknown`.
    """

    def __init__(self, outcome: Outcome, what: str) -> None:
        super().__init__(f"{what} was rejected: {outcome.message}", type=outcome.code, non_retryable=True)
        self.code = outcome.code


class CommandFailed(ApplicationError):
    """A command couldn't be handled, and is among the dead letters. Uncaught it ends the workflow."""

    def __init__(self, outcome: Outcome, what: str) -> None:
        super().__init__(f"{what} failed: {outcome.message}", type=outcome.code, non_retryable=True)
        self.code = outcome.code


@dataclass(frozen=True, slots=True)
class Address:
    """To whom, for whom.

    Attributes:
        actor: the id of the actor; empty for a query.
        tenant: whose data.
        correlation_id: what events and replies carry on.
        after_position: of a query: what the answer must reflect.
    """

    actor: str = ""
    tenant: str | None = None
    correlation_id: str | None = None
    after_position: int | None = None


async def send(command: Command, actor: str, *, tenant: str | None = None) -> Outcome:
    """From a workflow: send a command, and wait for its outcome, for as long as that takes.

    Args:
        command: what to do.
        actor: the id of the actor, as in `weather`.
        tenant: whose data; by default the workflow's.

    Raises:
        CommandRejected: if the actor said no.
        CommandFailed: if it can't be handled.
    """
    what = f"{command.message_type} to {actor}"
    outcome: Outcome = await workflow.execute_activity(
        SEND,
        args=[command, _address(actor=actor, tenant=tenant)],
        result_type=Outcome,
        start_to_close_timeout=ATTEMPT,
        retry_policy=RetryPolicy(maximum_interval=PATIENCE),
        summary=what,
    )
    if outcome.status is Status.Rejected:
        raise CommandRejected(outcome, what)
    if outcome.status is Status.Failed:
        raise CommandFailed(outcome, what)
    return outcome


async def ask(query: Query, *, tenant: str | None = None, after_position: int | None = None) -> Any:
    """From a workflow: ask a query, for as long as it takes until somebody answers.

    Args:
        query: what to know.
        tenant: whose data; by default the workflow's.
        after_position: a position that the answer must reflect, as in an outcome.

    Returns:
        The answer, of the query's own class.

    Raises:
        ActivityError: if it's answered with an error; the cause's `type` is its code.
    """
    return await workflow.execute_activity(
        ASK,
        args=[query, _address(tenant=tenant, after_position=after_position)],
        result_type=Answer,
        start_to_close_timeout=ATTEMPT,
        retry_policy=RetryPolicy(maximum_interval=PATIENCE),
        summary=query.message_type,
    )


def _address(**given: Any) -> Address:
    known = workflow.info().typed_search_attributes
    given["tenant"] = given["tenant"] or known.get(TENANT, None)
    return Address(correlation_id=known.get(CORRELATION, None) or workflow.info().workflow_id, **given)


class Speaking:
    """The activities behind `send` and `ask`.

    Args:
        client: of the broker; it reconnects by itself.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def activities(self) -> list[Callable[..., Any]]:
        """Both, for a worker."""
        return [self.send, self.ask]

    @activity.defn(name=SEND)
    async def send(self, command: Command, address: Address) -> Outcome:
        """Send a command under the id of this activity; an error means that the outcome isn't known yet."""
        return await self._client.send(
            command,
            address.actor,
            tenant=address.tenant,
            message_id=command_id(),
            correlation_id=address.correlation_id,
        )

    @activity.defn(name=ASK)
    async def ask(self, query: Query, address: Address) -> Answer:
        """Ask a query; what is answered with an error isn't asked again."""
        try:
            return await self._client.ask(
                query,
                tenant=address.tenant,
                after_position=address.after_position,
                correlation_id=address.correlation_id,
            )
        except QueryFailed as error:
            raise ApplicationError(str(error), type=error.error_code, non_retryable=True) from error


def command_id(part: str = "") -> UUID:
    """In an activity: the id of the command that it sends, the same at each attempt.

    Args:
        part: tells one from another, where an activity sends several.
    """
    info = activity.info()
    names = (info.namespace, info.workflow_id, info.workflow_run_id, info.activity_id, part)
    return uuid5(COMMAND_SPACE, "/".join(str(name) for name in names))
