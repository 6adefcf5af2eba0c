"""Connections of senders and consumers to a broker that goes and comes back."""

import itertools

import aio_pika
from yarl import URL

_turns = itertools.count()


async def connect(urls: str) -> aio_pika.Connection:
    """A connection to one of these addresses, which spaces separate, in 5 s or not at all; each try takes the next one.

    One that failed is closed here: the client library would close it at garbage collection, outside the event loop.
    """
    nodes = urls.split()
    connection = aio_pika.Connection(URL(nodes[next(_turns) % len(nodes)]))
    try:
        await connection.connect(timeout=5)
    except BaseException:
        await connection.close()
        raise
    return connection
