"""Certificates that requests name: only from the vendor's own hosts, kept for a day, or pinned by the operator."""

import re
from collections import OrderedDict
from typing import Final

from relay.schemes import keys, phrase
from relay.schemes.chain import authorities, require_sound
from relay.schemes.entry import Certificate
from relay.schemes.keys import ProofKey
from relay.schemes.spec import NeedsCertificate
from relay.schemes.suspect import refuse

_MOST: Final = 32
_DAY: Final = 86_400_000


class Trust:
    """The certificates of one scheme. `pinned` (PEM) is used in place of whatever a request names."""

    def __init__(self, form: Certificate, pinned: str | None) -> None:
        self._url = phrase.place(form.url)
        self._host = re.compile(form.host)
        self._path = re.compile(form.path)
        self._subject = re.compile(form.subject)
        self._pinned = pinned.encode() if pinned else None
        self._known: OrderedDict[str, tuple[bytes, int]] = OrderedDict()

    def key(self, scope: phrase.Scope, algorithm: str, encoding: str) -> ProofKey:
        """The key that must have signed. Raises `NeedsCertificate`, and `Rejected` for an address that is not the
        vendor's."""
        pem = self._pinned or self._find(self.require(self._url(scope)), scope.request.received_at)
        try:
            return keys.of_certificate(pem, algorithm, encoding)
        except ValueError as error:
            raise refuse("the certificate cannot be used", "certificate_wrong", str(error)) from None

    def require(self, url: str | None) -> str:
        """The address itself when it is the vendor's. Raises `Rejected`."""
        if url is None or not self._is_vendors(url):
            raise refuse(
                "the certificate's address is not the vendor's",
                "certificate_foreign",
                "somebody forges requests, or the source has the wrong scheme",
            )
        return url

    def _is_vendors(self, url: str) -> bool:
        """An https address that is just host and path: no user, port, parameter, query or fragment."""
        host, slash, path = url.removeprefix("https://").partition("/")
        ours = self._host.fullmatch(host) and self._path.fullmatch(f"{slash}{path}")
        return url.startswith("https://") and ours is not None

    def keep(self, url: str, pem: bytes, now: int) -> None:
        """A certificate that was fetched; `now` is milliseconds since the epoch. Raises `Rejected` when it is none, or
        not the vendor's."""
        try:
            require_sound(pem, self._subject, now, authorities())
        except ValueError as error:
            told = "the certificate's address does not have a certificate of the vendor"
            raise refuse(told, "certificate_wrong", str(error)) from None
        self._known[url] = (pem, now)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def _find(self, url: str, now: int) -> bytes:
        pem, fetched = self._known.get(url, (b"", 0))
        if not pem or abs(now - fetched) > _DAY:
            raise NeedsCertificate(url, self)
        return pem
