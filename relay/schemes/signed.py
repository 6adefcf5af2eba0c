"""HMAC over a composed string: the mechanism behind `hmac` and most vendors."""

# ruff: noqa: A002 - `id` and `type` are the words of the wire

import base64
import hmac
from collections.abc import Callable, Iterable
from typing import Any, Final

from relay.errors import Rejected
from relay.schemes import moment, phrase
from relay.schemes.request import Headers, Request, octets
from relay.schemes.scheme import ALWAYS_SECRET, Identity
from relay.schemes.seal import Places, Seal
from relay.units import show

ENCODE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "hex": lambda digest: digest.hex().encode(),
    "base64": base64.b64encode,
}
ALGORITHMS: Final = ("sha1", "sha256", "sha512")
_MOST_SIGNATURES: Final = 32
_FORMS: Final = {
    (40, "hex"): "sha1 in hex",
    (64, "hex"): "sha256 in hex",
    (128, "hex"): "sha512 in hex",
    (28, "base64"): "sha1 in base64",
    (44, "base64"): "sha256 in base64",
    (88, "base64"): "sha512 in base64",
}
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_BASE64: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


class Check:
    """One seal, compiled. `tolerance` is milliseconds. Raises ValueError when the seal's content is wrong."""

    def __init__(self, seal: Seal, keys: tuple[bytes, ...], tolerance: int) -> None:
        self.seal = seal
        self.header = seal.header.lower()
        self._stamp = seal.stamp.header.lower() if seal.stamp else ""
        self._pieces = phrase.signed(seal.content)
        self._encode = ENCODE[seal.encoding]
        self._prefix = seal.prefix.encode()
        self._length = len(self._encode(hmac.digest(b"0", b"", seal.algorithm)))
        self._keys = keys
        self._tolerance = tolerance
        self.named = phrase.named_headers(seal.content) - {self._stamp}

    def verify(self, request: Request) -> None:
        """Raises `Rejected` unless one signature matches under one key and its time is near enough."""
        text = request.headers.sole(self.header, "signature")
        signatures = self._signatures(octets(text))
        timestamp = self._timestamp(request.headers, text)
        message = self._compose(request, timestamp)
        matched = False
        for key in self._keys:
            expected = self._encode(hmac.digest(key, message, self.seal.algorithm))
            for signature in signatures:
                matched |= hmac.compare_digest(expected, signature)
        if not matched:
            raise _refuse("the signature does not match", "signature_wrong", self._suspect())
        if self._stamp:
            self._judge(timestamp, request.received_at)

    def sign(self, request: Request) -> dict[str, str]:
        """The headers with signature and time; those named in the content are in the request already."""
        stamp = self.seal.stamp
        timestamp = moment.WRITE[stamp.unit](request.received_at) if stamp else ""
        digest = hmac.digest(self._keys[0], self._compose(request, timestamp), self.seal.algorithm)
        signature = (self._prefix + self._encode(digest)).decode()
        if stamp is None:
            return {self.seal.header: signature}
        if self._stamp == self.header:
            parts = (f"{stamp.prefix}{timestamp}", signature)
            return {self.seal.header: (self.seal.separator or ",").join(parts)}
        return {stamp.header: timestamp, self.seal.header: signature}

    def _compose(self, request: Request, timestamp: str) -> bytes:
        return b"".join([piece(request, timestamp) for piece in self._pieces])

    def _signatures(self, value: bytes) -> list[bytes]:
        separator = self.seal.separator
        parts = [part.strip() for part in value.split(separator.encode())] if separator else [value]
        ours = [part[len(self._prefix) :] for part in parts if part.startswith(self._prefix)]
        if not ours:
            raise _refuse(
                f"the signature does not begin with {self.seal.prefix}",
                "signature_malformed",
                f"{self.seal.header} must hold {self.seal.prefix}<{self.seal.encoding} of {self.seal.algorithm}>; "
                "the sender signs by another scheme or version",
            )
        fitting = [_lower(part) if self.seal.encoding == "hex" else part for part in ours[:_MOST_SIGNATURES]]
        fitting = [part for part in fitting if len(part) == self._length]
        if not fitting:
            raise _refuse("the signature has the wrong length", "signature_malformed", self._form(ours[0]))
        return fitting

    def _timestamp(self, headers: Headers, signature: str) -> str:
        stamp = self.seal.stamp
        if stamp is None:
            return ""
        if self._stamp != self.header:
            return headers.sole(self._stamp, "timestamp")
        parts = [part.strip() for part in signature.split(self.seal.separator)]
        found = [part.removeprefix(stamp.prefix) for part in parts if part.startswith(stamp.prefix)]
        if len(found) != 1:
            raise _refuse("the signature has no time", "timestamp_missing", f"{self.seal.header} lacks {stamp.prefix}")
        return found[0]

    def _judge(self, timestamp: str, now: int) -> None:
        try:
            age = now - moment.read(timestamp)
        except ValueError as error:
            raise _refuse("the time of signing is not a time", "timestamp_malformed", str(error)) from None
        if abs(age) <= self._tolerance:
            return
        side, reason = ("old", "timestamp_old") if age > 0 else ("far in the future", "timestamp_future")
        raise _refuse(
            f"the signature is too {side}",
            reason,
            f"it was made {show(abs(age))} {'ago' if age > 0 else 'ahead'}, {show(self._tolerance)} are allowed: "
            f"a clock is off by {abs(age) // 1_000} s, or an old request is sent again",
        )

    def _suspect(self) -> str:
        return (
            f"the secret is not the sender's (or was rotated there), something on the way changed the body, "
            f"or the sender signs something else than {self.seal.content}"
        )

    def _form(self, signature: bytes) -> str:
        octets_ = frozenset(signature)
        kind = "hex" if octets_ <= _HEX else "base64" if octets_ <= _BASE64 else ""
        looks = _FORMS.get((len(signature), kind))
        wanted = f"{self.seal.algorithm} in {self.seal.encoding}"
        if looks and looks != wanted:
            return f"it looks like {looks}, while {wanted} is expected: set algorithm and encoding, or the right scheme"
        return (
            f"{self._length} characters are expected ({wanted}), {len(signature)} came: it is cut, or of another kind"
        )


class Signed:
    """A scheme of one or more seals; the first whose header came is the one that counts."""

    proves: Final = True
    challenge: Final[str | None] = None

    def __init__(
        self,
        checks: tuple[Check, ...],
        places: Places,
        *,
        id_header: str | None = None,
        type_header: str | None = None,
    ) -> None:
        self._checks = checks
        self._id_header = id_header
        self._type_header = type_header
        self._id = _first(places.id)
        self._type = _first(places.type)
        self._subject = _first(places.subject)
        self._time = _first(places.time)
        self.secret_headers = ALWAYS_SECRET | {check.header for check in checks}

    def verify(self, request: Request) -> None:
        """As `Scheme.verify` says."""
        checks = self._checks
        chosen = checks[0]
        if len(checks) > 1:
            chosen = next((check for check in checks if check.header in request.headers), chosen)
        chosen.verify(request)

    def identify(self, request: Request, data: Any) -> Identity:
        """As `Scheme.identify` says."""
        headers = request.headers
        return Identity(
            external_id=self._id(headers, data),
            type=self._type(headers, data),
            subject=self._subject(headers, data),
            time=moment.find(self._time(headers, data)),
        )

    def sign(
        self,
        body: bytes,
        *,
        now: int,
        id: str,
        type: str | None = None,
        method: str = "POST",
        url: str = "",
    ) -> dict[str, str]:
        """As `Scheme.sign` says; a header that the content names holds the id."""
        check = self._checks[0]
        beside = dict.fromkeys(sorted(check.named), id)
        if self._id_header:
            beside[self._id_header] = id
        if self._type_header and type:
            beside[self._type_header] = type.split(".", 1)[0]
        return beside | check.sign(Request(method, url, Headers.of(beside), body, now))


def _first(texts: Iterable[str]) -> Callable[[Headers, Any], str | None]:
    finders = [phrase.place(text) for text in texts]
    return lambda headers, data: next((found for find in finders if (found := find(headers, data))), None)


def _lower(signature: bytes) -> bytes:
    """Hex all in capitals, as some platforms print it, in small letters; mixed case is left as wrong as it is."""
    return signature.lower() if signature.isupper() else signature


def _refuse(message: str, reason: str, hint: str) -> Rejected:
    return Rejected(message, status=401, reason=reason, hint=hint)
