"""By what a workflow is found in Temporal's web UI: search attributes, and how a namespace gets them."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from datetime import timedelta
from time import monotonic

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from datapunk.errors import ConfigurationError

MODULE = SearchAttributeKey.for_keyword("DatapunkModule")
ACTOR = SearchAttributeKey.for_keyword("DatapunkActor")  # its stream, as in lake.dataset/weather
TENANT = SearchAttributeKey.for_keyword("DatapunkTenant")
CORRELATION = SearchAttributeKey.for_keyword("DatapunkCorrelationId")
ABOUT = SearchAttributeKey.for_keyword_list("DatapunkAbout")  # what else its class says, as in undecodable
KEYS = (MODULE, ACTOR, TENANT, CORRELATION)
TYPES = {
    **{key.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD for key in KEYS},
    ABOUT.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}
KNOWN_WITHIN_S, LOOK_S = 20.0, 0.1  # how long a new namespace may stay unknown, and how often to look
RETENTION = timedelta(days=30)  # of ended workflows, in a namespace that we make


def describe(
    module: str, actor: str, tenant: str, correlation_id: str, about: Sequence[str] = ()
) -> TypedSearchAttributes:
    """The search attributes of a workflow."""
    values = (module, actor, tenant, correlation_id)
    pairs = [SearchAttributePair(key, value) for key, value in zip(KEYS, values, strict=True)]
    return TypedSearchAttributes([*pairs, *([SearchAttributePair(ABOUT, about)] if about else [])])


async def prepare_namespace(client: Client) -> None:
    """See to it that the client's namespace is there and has our search attributes; safe to repeat.

    Raises:
        ConfigurationError: if Temporal doesn't let us.
        RPCError: if it's away.
    """
    try:
        await _make(client)
        known = await _attributes_of(client)
        missing = {name: type for name, type in TYPES.items() if name not in known}
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
    except RPCError as error:
        if error.status is RPCStatusCode.PERMISSION_DENIED or error.status is RPCStatusCode.UNIMPLEMENTED:
            raise ConfigurationError(
                f"Temporal doesn't let us prepare its namespace {client.namespace!r} ({error.message}); make it, and "
                f"add the search attributes {', '.join(key.name for key in KEYS)} (type Keyword) and {ABOUT.name} "
                "(type KeywordList), by its own tools"
            ) from error
        if error.status is not RPCStatusCode.ALREADY_EXISTS:  # another process was faster
            raise


async def _attributes_of(client: Client) -> Container[str]:
    """The namespace's own search attributes; one that was just made isn't known to all of Temporal at once."""
    until = monotonic() + KNOWN_WITHIN_S
    while True:
        try:
            listed = await client.operator_service.list_search_attributes(
                ListSearchAttributesRequest(namespace=client.namespace)
            )
        except RPCError as error:
            if error.status is RPCStatusCode.UNIMPLEMENTED:  # the test server that skips time can be told, not asked
                return ()
            if error.status is not RPCStatusCode.NOT_FOUND or monotonic() > until:
                raise
            await asyncio.sleep(LOOK_S)
        else:
            return listed.custom_attributes


async def _make(client: Client) -> None:
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        request = RegisterNamespaceRequest(namespace=client.namespace)
        request.workflow_execution_retention_period.FromTimedelta(RETENTION)
        await client.workflow_service.register_namespace(request)
