"""The client for Cargo's API: implements the port `Chats` with aiohttp."""

from relay.cargo.client import Cargo

__all__ = ["Cargo"]
