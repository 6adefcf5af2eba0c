"""Where RabbitMQ is, with its credentials kept out of sight."""

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
    """`url` is `amqp://` or `amqps://` and may carry a password; `password`, given apart, wins.

    Of the URL's query `heartbeat` (seconds) and `connection_timeout` (milliseconds) count, as RabbitMQ has them
    (https://www.rabbitmq.com/docs/uri-query-parameters); nothing else of it reaches the client library, which would
    take more, `no_verify_ssl` among them. `others` are further nodes, with the user and the virtual host of `url`.

    `ca_file` is a PEM file that replaces the system's authorities. `cert_file` and `key_file` are what Relay shows of
    itself; without a user in `url` the certificate is its login (SASL EXTERNAL), with one it is shown beside the
    password. All three are read at each connect, so that a file that was replaced counts from the next one.
    """

    url: Secret
    password: Secret | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    others: tuple[str, ...] = ()

    @property
    def user(self) -> str | None:
        """Who logs in by name; None where a certificate does, or the URL does not say."""
        return URL(self.url.reveal()).user

    @property
    def external(self) -> bool:
        """Whether the certificate is the login."""
        return self.cert_file is not None and not self.user

    @property
    def vhost(self) -> str:
        """The virtual host by name.

        A path of nothing is `/`, as with most clients: by the letter of https://www.rabbitmq.com/docs/uri-spec
        `amqp://host/` would be the virtual host without a name.
        """
        return unquote(urlsplit(self.url.reveal()).path[1:]) or "/"

    @property
    def timeout(self) -> float | None:
        """How long connecting may take, in seconds; None when the URL does not say."""
        given = URL(self.url.reveal()).query.get("connection_timeout")
        return None if given is None else int(given) / 1_000

    def full(self, turn: int = 0) -> URL:
        """The URL with its credentials, of the first node or of the one whose `turn` it is.

        For the client library only, never for a message.
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
        """What `amqps` trusts and shows; None for `amqp`. Raises Away when a file cannot be used."""
        if URL(self.url.reveal()).scheme != "amqps":
            return None
        fault = self._inspect()
        if fault is not None:
            raise Away(f"broker.{fault.key} {fault.message}")
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                present(context, self.cert_file, self.key_file or self.cert_file)
        except OSError as error:  # replaced since it was looked at
            raise Away(f"broker.ca_file, cert_file or key_file cannot be read: {error.strerror or error}") from None
        return context

    def host(self) -> tuple[str, str]:
        """The first node with its port, and the protocol: for a description of it."""
        url = self.full()
        port = url.explicit_port or (5671 if url.scheme == "amqps" else 5672)
        return f"[{url.host}]:{port}" if ":" in (url.host or "") else f"{url.host}:{port}", url.scheme

    def path(self) -> str:
        """The virtual host as a URL has it."""
        return "/" + quote(self.vhost, safe="")

    def name(self, turn: int = 0) -> str:
        """The node for people: no credentials."""
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
