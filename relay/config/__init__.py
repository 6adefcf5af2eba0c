"""The configuration: reads YAML files into settings and reports every fault with its line and column."""

from relay.config.alerts import AlertsBlock
from relay.config.compare import Change, Difference, compare, describe, find_changes, summarize
from relay.config.files import Files
from relay.config.load import Loaded, digest, load, load_files, locate
from relay.config.restart import RESTART, hold
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
from relay.config.sketch import read_rule
from relay.config.source import AmqpSource, Bind, ClientCert, EventTemplates, LimitBlock, WebhookSource
from relay.listener import Listener

__all__ = [
    "RESTART",
    "AlertsBlock",
    "AmqpSource",
    "Bind",
    "BrokerBlock",
    "CargoBlock",
    "Change",
    "ClientCert",
    "Difference",
    "EncryptBlock",
    "EventTemplates",
    "Files",
    "HttpBlock",
    "LedgerBlock",
    "LimitBlock",
    "Listener",
    "Loaded",
    "ResultsBlock",
    "RetryBlock",
    "Rule",
    "Settings",
    "WebhookSource",
    "compare",
    "describe",
    "digest",
    "find_changes",
    "hold",
    "json_schema",
    "load",
    "load_files",
    "locate",
    "read_rule",
    "summarize",
]
