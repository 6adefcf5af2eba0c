"""The address of RabbitMQ. Descriptions of it never contain credentials."""

import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from yarl import URL

from relay.broker.faults import Away
from relay.secret import Secret
from relay.trust import FileFault, inspect_authorities, inspect_identity, present

_HEARTBEAT: Final = 10


@dataclass(frozen=True, slots=True)
class Address:
    """`url` is `amqp://` or `amqps://` and may contain a password; a separate `password` takes precedence.

    From the URL's query, Relay uses `heartbeat` (seconds) and `connection_timeout` (milliseconds), as RabbitMQ defines
    them (https://www.rabbitmq.com/docs/uri-query-parameters). Nothing else of the query reaches the client library,
    because that accepts more, for example `no_verify_ssl`. `others` are further nodes; they use the user and virtual
    host of `url`.

    `ca_file` is a PEM file that replaces the system's certificate authorities. `cert_file` and `key_file` are Relay's
    client certificate. If `url` has no user, the certificate is the login (SASL EXTERNAL); otherwise it is presented in
    addition to the password. All three files are read at each connect, so that a replaced file takes effect then.
    """

    url: Secret
    password: Secret | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    others: tuple[str, ...] = ()

    @property
    def user(self) -> str | None:
        """The user name of the login; None if `url` has no user."""
        return URL(self.url.reveal()).user

    @property
    def external(self) -> bool:
        """Whether the certificate is the login."""
        return self.cert_file is not None and not self.user

    @property
    def vhost(self) -> str:
        """The virtual host by name.

        An empty path means `/`, as with most clients. Strictly by https://www.rabbitmq.com/docs/uri-spec
        `amqp://host/` would mean the virtual host with an empty name.
        """
        return unquote(urlsplit(self.url.reveal()).path[1:]) or "/"

    @property
    def timeout(self) -> float | None:
        """The timeout for connecting, in seconds; None if the URL does not set it."""
        milliseconds = URL(self.url.reveal()).query.get("connection_timeout")
        return None if milliseconds is None else int(milliseconds) / 1_000

    def full(self, turn: int = 0) -> URL:
        """The URL with credentials, for the client library only. Never put it into a message.

        `turn` counts the connection attempts and selects the node, round robin.
        """
        first = URL(self.url.reveal())
        password = first.password if self.password is None else self.password.reveal()
        query = {"heartbeat": first.query.get("heartbeat", str(_HEARTBEAT))}
        if self.external:
            query["auth"] = "external"
        url = URL(self._node(turn)).with_user(first.user)
        url = url if password is None or self.external else url.with_password(password)
        return url.with_path("/" + quote(self.vhost, safe=""), encoded=True).with_query(query)

    def trust(self) -> ssl.SSLContext | None:
        """The TLS context for `amqps`; None for `amqp`. Raises Away when a file cannot be used."""
        if URL(self.url.reveal()).scheme != "amqps":
            return None
        fault = self._inspect()
        if fault is not None:
            raise Away(f"broker.{fault.key} {fault.message}")
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                present(context, self.cert_file, self.key_file or self.cert_file)
        except OSError as error:  # the file was replaced after it was inspected
            raise Away(f"broker.ca_file, cert_file or key_file cannot be read: {error.strerror or error}") from None
        return context

    def host(self) -> tuple[str, str]:
        """The first node as `host:port`, and the protocol, for descriptions."""
        url = self.full()
        port = url.explicit_port or (5671 if url.scheme == "amqps" else 5672)
        return f"[{url.host}]:{port}" if ":" in (url.host or "") else f"{url.host}:{port}", url.scheme

    def path(self) -> str:
        """The virtual host as the path of a URL."""
        return "/" + quote(self.vhost, safe="")

    def name(self, turn: int = 0) -> str:
        """The node's URL without credentials, for messages. `turn` as in `full`."""
        url = URL(self._node(turn))
        port = "" if url.explicit_port is None else f":{url.explicit_port}"
        host = f"[{url.host}]" if ":" in (url.host or "") else url.host or ""
        return f"{url.scheme}://{host}{port}{urlsplit(self.url.reveal()).path}"

    def __str__(self) -> str:
        return self.name()

    def _node(self, turn: int) -> str:
        return (self.url.reveal(), *self.others)[turn % (1 + len(self.others))]

    def _inspect(self) -> FileFault | None:
        fault = None if self.ca_file is None else inspect_authorities(self.ca_file)
        if fault is None and self.cert_file is not None:
            fault = inspect_identity(self.cert_file, self.key_file or self.cert_file)
        return fault
