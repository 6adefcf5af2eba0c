"""Connections of senders and consumers to a broker that goes and comes back."""

import aio_pika


async def connect(url: str) -> aio_pika.Connection:
    """A connection, in 5 s or not at all.

    One that failed is closed here: the client library would close it at garbage collection, outside the event loop.
    """
    connection = aio_pika.Connection(url)
    try:
        await connection.connect(timeout=5)
    except BaseException:
        await connection.close()
        raise
    return connection
