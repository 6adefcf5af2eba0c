"""The configuration: YAML files to settings, with every fault at its line and column."""

from relay.config.kinds import Listener
from relay.config.load import Loaded, load
from relay.config.rule import Rule
from relay.config.schema import json_schema
from relay.config.settings import (
    BrokerBlock,
    CargoBlock,
    EncryptBlock,
    HttpBlock,
    LedgerBlock,
    ResultsBlock,
    RetryBlock,
    Settings,
)
from relay.config.source import AmqpSource, Bind, EventTemplates, WebhookSource

__all__ = [
    "AmqpSource",
    "Bind",
    "BrokerBlock",
    "CargoBlock",
    "EncryptBlock",
    "EventTemplates",
    "HttpBlock",
    "LedgerBlock",
    "Listener",
    "Loaded",
    "ResultsBlock",
    "RetryBlock",
    "Rule",
    "Settings",
    "WebhookSource",
    "json_schema",
    "load",
]
