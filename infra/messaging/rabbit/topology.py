"""Exchanges and queues, and why each has the limits that it has.

| queue | from | bound | when full |
|---|---|---|---|
| ``feed.<feed>.<context>`` | events exchange | 10,000 runs, 64 MB, deleted after an unused day | drops its head |
| ``commands.<service>`` | commands exchange | none | - |
| ``commands.<service>.retry.<ms>`` | published to directly | none | - |
| ``commands.<service>.dead`` | dead exchange | none | - |
| ``rpc.<service>`` | published to directly | 10,000 requests | refuses the request |

The log is the truth for events, so a feed queue may lose what it likes: its consumer reads the missing part from the
log. A stopped feed must not fill the broker's disk, so its queue drops its oldest runs, and needs no dead letters.
A command queue must not lose anything: it has no bound, dead-letters at least once, and the lag alarm watches it.
"""

from __future__ import annotations

from faststream.rabbit import ExchangeType, QueueType, RabbitExchange, RabbitQueue

EVENTS = RabbitExchange("nightledger.events", type=ExchangeType.TOPIC, durable=True)
COMMANDS = RabbitExchange("nightledger.commands", type=ExchangeType.DIRECT, durable=True)
DEAD = RabbitExchange("nightledger.dead", type=ExchangeType.DIRECT, durable=True)
EXCHANGES = (EVENTS, COMMANDS, DEAD)

DELIVERY_LIMIT = 20
"""Deliveries of one message before it is taken for one that kills the process that takes it."""
_DAY_MS = 86_400_000


def feed_queue(feed: str, context: str) -> RabbitQueue:
    """Runs of ``context`` for ``feed``. One active consumer; it is the feed's leader, the limit is a second fence."""
    return RabbitQueue(
        f"feed.{feed}.{context}",
        queue_type=QueueType.QUORUM,
        routing_key=context,
        arguments={
            "x-single-active-consumer": True,
            "x-max-length": 10_000,
            "x-max-length-bytes": 64_000_000,
            "x-overflow": "drop-head",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-expires": _DAY_MS,
        },
    )


def commands_queue(service: str) -> RabbitQueue:
    """Commands for ``service``; its processes compete for them."""
    return RabbitQueue(
        f"commands.{service}",
        queue_type=QueueType.QUORUM,
        routing_key=service,
        arguments={
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD.name,
            "x-dead-letter-routing-key": service,
            # At-least-once dead-lettering is only given with an overflow that does not drop.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def retry_queue(service: str, delay: float) -> RabbitQueue:
    """Failed commands wait here for ``delay`` seconds, then go to the command queue again."""
    milliseconds = round(delay * 1000)
    return RabbitQueue(
        f"commands.{service}.retry.{milliseconds}",
        queue_type=QueueType.QUORUM,
        arguments={
            "x-message-ttl": milliseconds,
            "x-dead-letter-exchange": COMMANDS.name,
            "x-dead-letter-routing-key": service,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def dead_queue(service: str) -> RabbitQueue:
    """Messages that the broker gave up, on their way into the service's table of dead letters.

    No delivery limit: whoever takes them only writes them down.
    """
    return RabbitQueue(f"commands.{service}.dead", queue_type=QueueType.QUORUM, routing_key=service)


def rpc_queue(service: str) -> RabbitQueue:
    """Requests that wait for their answer. A request whose asker has given up expires by its own time limit."""
    return RabbitQueue(
        f"rpc.{service}", durable=True, arguments={"x-max-length": 10_000, "x-overflow": "reject-publish"}
    )


def reply_queue(process: str) -> RabbitQueue:
    """Answers for one process; it goes with its connection."""
    return RabbitQueue(f"replies.{process}", durable=False, exclusive=True, auto_delete=True)
