"""The settings of every call to Cargo, checked once."""

import ssl
from dataclasses import dataclass

from yarl import URL

from relay.errors import Misconfigured
from relay.proxy import Proxy
from relay.secret import Secret
from relay.trust import FileFault, inspect_authorities, inspect_identity, present


@dataclass(frozen=True, slots=True)
class CargoSettings:
    """The settings of the connection. `timeout` is in seconds, `base` ends in `/v1`."""

    base: URL
    token: Secret
    timeout: float
    connections: int
    version: str
    workspace_uuid: str | None
    ca_file: str | None
    proxy: Proxy | None
    cert_file: str | None = None
    key_file: str | None = None

    def headers(self) -> dict[str, str]:
        """The headers of every call. A token of several workspaces needs the one that selects its workspace."""
        headers = {
            "Authorization": f"Bearer {self.token.reveal()}",
            "Accept": "application/json",
            "User-Agent": f"relay/{self.version}",
        }
        if self.workspace_uuid is not None:
            headers["selected-workspace-uuid"] = self.workspace_uuid
        return headers

    def trust(self) -> ssl.SSLContext:
        """The TLS context for Cargo and for an https:// proxy: the system's certificates, `ca_file`, and our own.

        Raises Misconfigured.
        """
        context = ssl.create_default_context()
        if self.ca_file is not None:
            _accept(inspect_authorities(self.ca_file))
            context.load_verify_locations(self.ca_file)
        if self.cert_file is not None:
            key_file = self.key_file or self.cert_file
            _accept(inspect_identity(self.cert_file, key_file))
            present(context, self.cert_file, key_file)
        return context


def _accept(fault: FileFault | None) -> None:
    if fault is not None:
        raise Misconfigured([f"cargo.{fault.key}: {fault.message}"])


def check_token(token: Secret) -> Secret:
    """Return the token if it is valid in a header. Raises Misconfigured, whose message does not contain it."""
    text = token.reveal()
    if not text or not all("!" <= sign <= "~" for sign in text):
        raise Misconfigured(["cargo.token: is empty or has signs that no token has: copy it from Settings > API anew"])
    return token


def check_base(text: str) -> URL:
    """The URL of Cargo's API, without a final slash. Raises Misconfigured, whose message does not contain it."""
    try:
        url = URL(text.rstrip("/"))
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise Misconfigured(["cargo.base_url: is not an address: write it as https://host or https://host:port/path"])
    if url.user is not None or url.query or url.fragment:
        raise Misconfigured(["cargo.base_url: takes no user, query or fragment: write https://api.getcargo.io/v1"])
    return url
