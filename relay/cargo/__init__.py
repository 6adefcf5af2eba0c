"""The client of Cargo's API: the adapter of the port `Chats` on aiohttp."""

from relay.cargo.client import Cargo

__all__ = ["Cargo"]
