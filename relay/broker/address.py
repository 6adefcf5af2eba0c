"""Where RabbitMQ is, with its credentials kept out of sight."""

import ssl
from dataclasses import dataclass

from yarl import URL

from relay.secret import Secret


@dataclass(frozen=True, slots=True)
class Address:
    """`url` is `amqp://` or `amqps://` and may carry a password; `password`, given apart, wins.

    `ca_file` is a PEM file that replaces the system's authorities. It is read at each connect, so that a file that
    was replaced counts from the next one.
    """

    url: Secret
    password: Secret | None = None
    ca_file: str | None = None

    def full(self) -> URL:
        """The URL with its password: for the client library only, never for a message."""
        url = URL(self.url.reveal())
        return url if self.password is None else url.with_password(self.password.reveal())

    def trust(self) -> ssl.SSLContext | None:
        """What `amqps` trusts; None for `amqp`. Raises OSError when `ca_file` cannot be read."""
        if URL(self.url.reveal()).scheme != "amqps":
            return None
        return ssl.create_default_context(cafile=self.ca_file)

    def __str__(self) -> str:
        url = URL(self.url.reveal())
        port = "" if url.explicit_port is None else f":{url.explicit_port}"
        return f"{url.scheme}://{url.host or ''}{port}{url.path}"
