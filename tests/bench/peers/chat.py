"""The call to Cargo, which both peers make in the same way."""

import os

import aiohttp

CALLS = int(os.environ["PEER_CALLS"])
"""Calls in flight at most."""


def make_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers={"Authorization": "Bearer bench"},
        connector=aiohttp.TCPConnector(limit=CALLS),
    )


async def make_chat(session: aiohttp.ClientSession, number: int) -> str:
    """Create the chat of a deal; its uuid. Raises aiohttp.ClientError."""
    trigger = {
        "type": "connector",
        "connectorUuid": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f",
        "meta": {"id": str(number)},
    }
    body = {
        "name": f"Deal {number}",
        "agentUuid": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
        "trigger": trigger,
    }
    async with session.post(f"{os.environ['PEER_CARGO']}/ai/chats", json=body) as answer:
        answer.raise_for_status()
        return (await answer.json())["chat"]["uuid"]
