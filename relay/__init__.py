"""Relay turns events of CRMs, helpdesks and queues into Cargo AI chats."""

from importlib.metadata import version

__version__ = version("relay")
