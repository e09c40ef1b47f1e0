"""What had no route: its sender gets the reason, the original goes to the dead letters.

With an alternate exchange the broker counts a message as routed, so `mandatory` would say nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from datapunk.broker.channel import Channel
from datapunk.broker.dead_letter import DEAD, bury, count_unreadable, dead_key
from datapunk.broker.deliveries import Delivery, settle
from datapunk.broker.direct_replies import DirectReplies
from datapunk.broker.link import Link
from datapunk.broker.replies import Replies, content_type_for, failed, reply_to
from datapunk.broker.topology import UNROUTABLE_QUEUE
from datapunk.errors import BrokerError, MessageError, UnknownMessageType, Unroutable
from datapunk.messages.envelope import read_envelope
from datapunk.messages.outcome import Outcome
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.telemetry.logs import get_logger

BATCH, PREFETCH = 100, 200
RETRY_S = 1.0  # pause before the broker is tried again

log = get_logger(__name__)


class UnroutableConsumer:
    """Empties the queue `unroutable`; any number of processes may do so at once."""

    def __init__(self, settings: Settings, registry: Registry, modules: Sequence[Module]) -> None:
        self._settings = settings
        self._registry = registry
        self._modules = {module.name: module for module in modules}

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        async with DirectReplies(self._settings.broker_url, "unroutable") as direct:
            await self._sessions(stop, direct)

    async def _sessions(self, stop: asyncio.Event, direct: DirectReplies) -> None:
        while not stop.is_set():
            try:
                link = await Link.open(self._settings.broker_url, name="unroutable")
                try:
                    await self._serve(link, stop, direct)
                finally:
                    await link.close()
            except (BrokerError, OSError) as error:
                log.warning("unroutable_away", detail=str(error))
                await asyncio.sleep(RETRY_S)

    async def _serve(self, link: Link, stop: asyncio.Event, direct: DirectReplies) -> None:
        intake = await link.channel(prefetch=PREFETCH)
        replies = Replies(intake, direct)
        outlet = await link.channel(confirms=True)
        await intake.consume(UNROUTABLE_QUEUE, "unroutable")
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                taking = asyncio.create_task(intake.take(BATCH, 0.0))
                await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    taking.cancel()
                    return
                deliveries = taking.result()
                for delivery in deliveries:
                    self._handle(delivery, replies, outlet)
                replies.flush()
                await outlet.confirmed(outlet.flush())
                for returned in outlet.returned:  # dead letters of a module that has no queue for them here
                    outlet.publish(
                        DEAD, dead_key(UNROUTABLE_QUEUE, Unroutable.code), returned.properties, returned.body
                    )
                outlet.returned.clear()
                await outlet.confirmed(outlet.flush())
                settle(deliveries)
        finally:
            stopping.cancel()

    def _handle(self, delivery: Delivery, replies: Replies, outlet: Channel) -> None:
        if delivery.unreadable:
            count_unreadable(UNROUTABLE_QUEUE, delivery)
            return
        code, message = self._reason(delivery)
        properties = delivery.properties
        module = delivery.exchange.partition(".")[0]
        if properties.reply_to:
            replies.send(
                properties.reply_to,
                reply_to(properties, Outcome.message_type, self._registry.fingerprint(Outcome)),
                self._registry.encode(failed(code, message), content_type_for(properties.content_type)),
            )
        bury(outlet, delivery, module=module, reason=code, message=message, queue=UNROUTABLE_QUEUE, mandatory=True)

    def _reason(self, delivery: Delivery) -> tuple[str, str]:
        """Why it had no route: nearly always because nobody handles the type that is its routing key."""
        known = self._modules.get(delivery.exchange.partition(".")[0])
        is_query = delivery.exchange.endswith(".queries")
        types: list[str] = []
        if known is not None:
            types = sorted(h.query.message_type for h in known.queries) if is_query else known.command_types
        if delivery.routing_key not in types:
            handled = f"; {delivery.exchange} takes {', '.join(types)}" if types else ""
            return (
                UnknownMessageType.code,
                f"nobody handles {delivery.routing_key!r}, the routing key of this message{handled}",
            )
        try:
            read_envelope(delivery.properties, needs_actor=not is_query)
        except MessageError as error:
            return error.code, str(error)
        return Unroutable.code, f"no queue took {delivery.routing_key}; run `datapunk topology apply`"
