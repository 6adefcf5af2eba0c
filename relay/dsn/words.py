"""The parameters of a connection string, and what to write instead of those that are not supported."""

from difflib import get_close_matches
from typing import Final

from relay.dsn.fault import DsnFault

KNOWN: Final = frozenset(
    {
        *("application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname"),
        *("fallback_application_name", "gssencmode", "host", "keepalives", "keepalives_count", "keepalives_idle"),
        *(
            "keepalives_interval",
            "load_balance_hosts",
            "options",
            "passfile",
            "port",
            "ssl",
            "ssl_max_protocol_version",
        ),
        *("ssl_min_protocol_version", "sslcert", "sslcertmode", "sslcompression", "sslcrl", "sslkey", "sslmode"),
        *("sslnegotiation", "sslrootcert", "sslsni", "target_session_attrs", "tcp_user_timeout", "user"),
    }
)

_APART: Final = "write it as `password:`, its own key"
_KERBEROS: Final = "Relay does not support Kerberos: leave it out, and use a password or a certificate"
_OAUTH: Final = "Relay does not support OAuth: leave it out, and use a password or a certificate"
_POOL: Final = "leave it out: Relay opens at most eight connections per replica"
_SCHEMA: Final = "write ledger.schema instead"
_POOLER: Final = "leave it out: Relay detects a pooler by itself"
_TLS: Final = "write sslmode=verify-full, and sslrootcert=system or ledger.ca_file"
_OURS: Final = "leave it out: Relay sets it itself"

_INSTEAD: Final = {
    "password": f"has a password in its query: {_APART}",
    "sslpassword": "has a key's password in its query: decrypt the key (openssl pkey) and protect the file instead",
    "hostaddr": "write the address as the host; with TLS, the name in the certificate",
    "service": "write host, user and database into ledger.url: no service file is read",
    "servicefile": "write host, user and database into ledger.url: no service file is read",
    "replication": "leave it out: Relay needs no replication connection",
    "requirepeer": "leave it out: Relay cannot check the server's user",
    "requiressl": "write sslmode=require",
    "require_auth": "leave it out: the server's pg_hba.conf decides how a role logs in",
    "sslcrldir": "write sslcrl with one file instead",
    "sslkeylogfile": "leave it out: Relay writes no TLS keys to files",
    "min_protocol_version": "leave it out: Relay speaks version 3.0 of the protocol",
    "max_protocol_version": "leave it out: Relay speaks version 3.0 of the protocol",
    **dict.fromkeys(("krbsrvname", "gsslib", "gssdelegation", "gssflags"), _KERBEROS),
    **dict.fromkeys(("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"), _OAUTH),
    **dict.fromkeys(("scram_client_key", "scram_server_key"), "set ledger.password instead"),
    **dict.fromkeys(("schema", "currentschema", "search_path", "searchpath"), _SCHEMA),
    **dict.fromkeys(("pgbouncer", "preparethreshold", "prepared_statements", "binary_parameters"), _POOLER),
    **dict.fromkeys(("statement_cache_size", "prepared_statement_cache_size", "statement_cache_mode"), _POOLER),
    **dict.fromkeys(("workaround", "supa", "default_query_exec_mode"), _POOLER),
    **dict.fromkeys(("connection_limit", "pool_timeout", "pool_size", "pool_max_conns", "max_overflow"), _POOL),
    **dict.fromkeys(("sslaccept", "sslfactory", "ssl_mode", "tls", "tlsmode", "sslidentity"), _TLS),
    **dict.fromkeys(("lock_timeout", "statement_timeout", "timezone", "synchronous_commit"), _OURS),
    **dict.fromkeys(("idle_in_transaction_session_timeout", "transaction_timeout", "datestyle"), _OURS),
    "database": "write it after the host, postgresql://host/relay, or as dbname=",
    "username": "write it before the host, postgresql://user@host/relay, or as user=",
    "sockettimeout": "leave it out: Relay waits 30 seconds for an answer",
    "socket_timeout": "leave it out: Relay waits 30 seconds for an answer",
    "logintimeout": "write connect_timeout",
    "timeout": "write connect_timeout",
    "command_timeout": "leave it out: Relay waits 30 seconds for an answer",
    "applicationname": "write application_name",
    "targetservertype": "write target_session_attrs=read-write",
    "encoding": "leave it out: Relay speaks UTF-8",
    "charset": "leave it out: Relay speaks UTF-8",
}


def check_name(name: str) -> None:
    """Raise DsnFault, which says what to write, unless the name is in `KNOWN`."""
    if name in KNOWN:
        return
    low = name.lower()
    if advice := _INSTEAD.get(low):
        if advice.startswith("has "):
            raise DsnFault(advice)
        raise DsnFault(f"has `{name}`, which Relay does not support: {advice}")
    close = get_close_matches(low, KNOWN, n=1, cutoff=0.7)
    # Text that is not a name may be the rest of a password that contains a ?.
    shown = f"`{name}`" if low.replace("_", "").isalnum() and name.isascii() and len(name) <= 40 else "a name"
    hint = f"did you mean `{close[0]}`?" if close else "leave it out, or see ledger.url in the reference"
    raise DsnFault(f"has {shown} in its query, which is not a parameter of a PostgreSQL connection: {hint}")
