"""Parses URLs of PostgreSQL, with libpq's parameters in libpq's meaning. It opens no files and no connections.

Source: PostgreSQL's documentation, "Connection Strings" and "Parameter Key Words" (libpq-connect).
"""

from relay.dsn.dsn import WEAK, Dsn, Host, Keepalive, Tls, quote
from relay.dsn.fault import DsnFault
from relay.dsn.parse import parse

__all__ = ["WEAK", "Dsn", "DsnFault", "Host", "Keepalive", "Tls", "parse", "quote"]
