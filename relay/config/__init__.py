"""The configuration: YAML files to settings, with every fault at its line and column."""

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
from relay.config.source import AmqpSource, Bind, ClientCert, EventTemplates, Limit, WebhookSource
from relay.listener import Listener

__all__ = [
    "AmqpSource",
    "Bind",
    "BrokerBlock",
    "CargoBlock",
    "ClientCert",
    "EncryptBlock",
    "EventTemplates",
    "HttpBlock",
    "LedgerBlock",
    "Limit",
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
