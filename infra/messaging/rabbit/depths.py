"""How full our queues are, asked by what AMQP itself offers: nobody needs the management plugin or its password."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from aio_pika.exceptions import ChannelNotFoundEntity

from infra.messaging.queues import QueueDepth
from infra.messaging.rabbit.connection import RabbitConnection
from infra.messaging.rabbit.topology import commands_queue, dead_queue, feed_queue, retry_queue, rpc_queue
from infra.messaging.retries import CommandRetries


async def depths(
    connection: RabbitConnection,
    *,
    feeds: Mapping[str, Sequence[str]],
    commanded: Sequence[str],
    answering: Sequence[str],
) -> Mapping[str, QueueDepth]:
    """By queue: how full it is. ``feeds`` names feeds with their contexts, the others are services.

    A queue that does not exist is empty and has no consumers. Raises BrokerUnavailable.
    """
    consumed = [
        *(feed_queue(feed, context).name for feed, contexts in feeds.items() for context in contexts),
        *(queue(service).name for service in commanded for queue in (commands_queue, dead_queue)),
        *(rpc_queue(service).name for service in answering),
    ]
    asked = dict.fromkeys(consumed, True) | dict.fromkeys(_retry_queues(commanded), False)
    found: dict[str, QueueDepth] = {}
    while len(found) < len(asked):
        # The broker closes the channel on which it is asked for a queue that it does not have.
        async with connection.channel() as channel:
            for name in asked.keys() - found.keys():
                try:
                    seen = (await channel.get_queue(name)).declaration_result
                except ChannelNotFoundEntity:
                    found[name] = QueueDepth(0, 0 if asked[name] else None)
                    break
                found[name] = QueueDepth(seen.message_count or 0, (seen.consumer_count or 0) if asked[name] else None)
    return found


def _retry_queues(services: Sequence[str]) -> Iterator[str]:
    return (retry_queue(service, delay).name for service in services for delay in CommandRetries().all_delays)
