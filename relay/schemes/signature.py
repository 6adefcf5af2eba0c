"""The mechanism behind most vendors: a signature over a composed string."""

import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from relay import moment
from relay.schemes import keys, phrase
from relay.schemes.entry import Signature
from relay.schemes.keys import Digest, ProofKey
from relay.schemes.ports import twins
from relay.schemes.put import put, set_at, with_body, with_header
from relay.schemes.request import Request, octets
from relay.schemes.spec import ALWAYS_SECRET, Evidence
from relay.schemes.suspect import describe, refuse
from relay.schemes.trust import Trust
from relay.units import show

_MOST_SIGNATURES: Final = 128
_MOST_PUBLIC: Final = 8
"""Of those that a public key judges, which takes a tenth of a millisecond each."""
_MOST_NUMBERED: Final = 100
"""DocuSign signs with each of an account's keys, of which there may be 100."""


class Signed:
    """One entry `by: signature`, compiled. `tolerance` is milliseconds, `covers` as in `Evidence`. Raises ValueError on
    a wrong phrase."""

    proves: Final = True
    challenge: Final[str | None] = None

    def __init__(
        self,
        form: Signature,
        live: tuple[ProofKey, ...],
        tolerance: int,
        options: Mapping[str, str],
        trust: Trust | None,
        covers: tuple[bool, ...] = (),
    ) -> None:
        self.form = form
        self._keys = live
        self.used_at = [0] * len(live)
        """When each secret last proved a request, in milliseconds since the epoch; 0 is never since the start."""
        self._tolerance = tolerance
        self._options = options
        self._trust = trust
        self._header = (form.header or "").lower()
        self._prefix = form.prefix.encode()
        self._separator = b"\n" if form.numbered else (form.separator or "").encode()
        # Where blanks separate signatures, one behind the prefix separates nothing.
        gap = b"(?<![^ \t])%b[ \t]+(?!%b)" % (re.escape(self._prefix), re.escape(self._prefix))
        self._gap = re.compile(gap) if self._prefix and self._separator.isspace() and not form.numbered else None
        self._time_header = form.timestamp.header.lower() if form.timestamp and form.timestamp.header else None
        self._content = phrase.compose(form.content)
        self._at = phrase.place(form.at) if form.at else None
        self._only = [(phrase.place(text), wanted) for text, wanted in form.only.items()]
        self._equal = [(phrase.place(one), phrase.place(other), one) for one, other in form.equal.items()]
        self._stamp = phrase.place(form.timestamp.at) if form.timestamp and form.timestamp.at else None
        self._shape = [(phrase.place(text), re.compile(wanted), text) for text, wanted in form.shape.items()]
        self._id = phrase.place(form.id) if form.id else None
        self._covers = covers
        self._each = phrase.path_of(form.each) if form.each else None
        self._length = live[0].length if live else None
        self.named = phrase.named_headers(form.content)
        self.secret_headers = ALWAYS_SECRET | self._shown_in()

    def applies(self, request: Request) -> bool:
        """As `Proof.applies` says."""
        there = self._numbered(request) if self.form.numbered else not self._header or self._header in request.headers
        return bool(there) and self.suits(request)

    def suits(self, request: Request) -> bool:
        """As `Proof.suits` says."""
        return all(phrase.holds(find, wanted, request, self._options) for find, wanted in self._only)

    def verify(self, request: Request) -> Evidence:
        """As `Proof.verify` says."""
        messages = [self._verify(scope) for scope in self._scopes(request)]
        for one, other, name in self._equal:
            scope = phrase.Scope(request, options=self._options)
            if one(scope) is None or one(scope) != other(scope):
                raise refuse(
                    f"{name} is not what it must be", "signed_part_wrong", f"{name} is missing or does not fit"
                )
        signed = hashlib.sha256(messages[0]).digest() if self._each is None else None
        event_id = self._id(phrase.Scope(request, options=self._options)) if self._id else None
        return Evidence(signed, event_id, self._covers)

    def sign(self, request: Request, private: str | None) -> Request:
        """As `Proof.sign` says."""
        request = self._put_time(request)
        if self._each is None:
            return self._place(
                request, self._make(phrase.Scope(request, self._time(request, ""), self._options), private)
            )
        data = copy.deepcopy(request.read().data)
        for item in phrase.dig(data, self._each) or []:
            scope = phrase.Scope(request, "", self._options, item=item, whole=False)
            set_at(item, phrase.path_of((self.form.at or "").strip("{} ")), self._make(scope, private).decode())
        return with_body(request, data)

    def _shown_in(self) -> frozenset[str]:
        """The headers that may hold a signature, in lower case."""
        named = phrase.named_headers(self.form.at) if self.form.at else frozenset()
        numbered = {f"{self._header}-{number}" for number in range(1, _MOST_NUMBERED + 1)} if self.form.numbered else ()
        return named | {self._header, *numbered} - {""}

    def _scopes(self, request: Request) -> list[phrase.Scope]:
        if self._each is None:
            return [phrase.Scope(request, options=self._options)]
        items = phrase.dig(request.data, self._each)
        if not isinstance(items, list) or not items:
            raise refuse(
                "there is nothing signed in the body", "signature_missing", f"{self.form.each} is empty or missing"
            )
        return [phrase.Scope(request, options=self._options, item=item, whole=False) for item in items]

    def _verify(self, scope: phrase.Scope) -> bytes:
        """What was signed."""
        text = self._shown(scope)
        signatures = self._signatures(text)
        scope.timestamp = self._time(scope.request, text)
        live = self._keys or self._certified(scope)
        signed: bytes | None = None
        used = 0
        for message in self._messages(scope):
            for number, key in enumerate(live):
                if key.matches(message, signatures):
                    signed, used = message, number
        if signed is None:
            raise refuse("the signature does not match", "signature_wrong", self._suspect())
        self._require_shape(scope)
        if self.form.timestamp:
            self._judge(scope.timestamp, scope.request.received_at)
        if self._keys:
            self.used_at[used] = scope.request.received_at
        return signed

    def _require_shape(self, scope: phrase.Scope) -> None:
        """Refuse what would read as another message that has the same bytes once its parts stand in a row."""
        for find, wanted, name in self._shape:
            if not wanted.fullmatch(find(scope) or ""):
                hint = f"{name.strip('{} ')} could hold what separates it from the next part: the request was cut anew"
                raise refuse(f"{name} has not its form", "signed_part_wrong", hint)

    def _messages(self, scope: phrase.Scope) -> list[bytes]:
        message = self._content(scope)
        if not self.form.ports:
            return [message]
        others = [replace(scope, request=twin) for twin in twins(scope.request)]
        return [message, *(self._content(other) for other in others)]

    def _certified(self, scope: phrase.Scope) -> tuple[ProofKey, ...]:
        if self._trust is None:
            raise refuse(
                "nothing can be verified yet", "secret_unknown", "the sender's handshake has not come, or failed"
            )
        return (self._trust.key(scope, self.form.algorithm, self.form.encoding),)

    def _shown(self, scope: phrase.Scope) -> str:
        if self._at is not None:
            shown = self._at(scope)
            if shown is None:
                raise refuse("the signature is missing", "signature_missing", f"{self.form.at} is not in the request")
            return shown
        if self.form.numbered:
            shown = "\n".join(self._numbered(scope.request))
            if shown:
                return shown
        return scope.request.headers.sole(self._header, "signature")

    def _numbered(self, request: Request) -> list[str]:
        lead = f"{self._header}-"
        of_headers = [
            values for name, values in request.headers.items() if name.startswith(lead) and name[len(lead) :].isdigit()
        ]
        return [value.strip() for values in of_headers for value in values]

    def _signatures(self, text: str) -> list[bytes]:
        form, prefix, length = self.form, self._prefix, self._length
        shown = octets(text) if self._gap is None else self._gap.sub(lambda _: prefix, octets(text))
        parts = [part.strip() for part in (shown.split(self._separator) if self._separator else [shown])]
        if form.timestamp and form.timestamp.first:
            del parts[0]
        ours = [part[len(prefix) :].strip() for part in parts if part.startswith(prefix)]
        if not ours:
            what = f"does not begin with {form.prefix}" if form.prefix else "is missing"
            wanted = f"{form.header or form.at} must hold {form.prefix}<{describe(form)}>"
            hint = f"{wanted}; the sender signs by another scheme or version"
            raise refuse(f"the signature {what}", "signature_malformed", hint)
        fitting = ours[: _MOST_SIGNATURES if length is not None else _MOST_PUBLIC]
        if form.encoding == "hex":
            fitting = [_lower(part) for part in fitting]
        if length is not None:
            fitting = [part for part in fitting if len(part) == length]
        if not fitting:
            hint = describe(form, ours[0], length)
            raise refuse("the signature has the wrong length", "signature_malformed", hint)
        return fitting

    def _time(self, request: Request, shown: str) -> str:
        """The time of signing, verbatim; `shown` is the signature's header."""
        time = self.form.timestamp
        if time is None:
            return ""
        if self._stamp is not None:
            return self._stamp(phrase.Scope(request, options=self._options)) or _no_time(time.at or "")
        if self._time_header is not None:
            return request.headers.sole(self._time_header, "timestamp")
        parts = [
            part.strip() for part in (shown or request.headers.first(self._header) or "").split(self.form.separator)
        ]
        if time.first:
            return parts[0]
        stamps = [part.removeprefix(time.prefix or "").strip() for part in parts if part.startswith(time.prefix or "")]
        return stamps[0] if len(stamps) == 1 else _no_time(f"{time.prefix} in {self.form.header}")

    def _judge(self, timestamp: str, now: int) -> None:
        try:
            age = now - moment.read(timestamp)
        except ValueError as error:
            raise refuse("the time of signing is not a time", "timestamp_malformed", str(error)) from None
        if abs(age) <= self._tolerance:
            return
        side, reason = ("old", "timestamp_old") if age > 0 else ("far in the future", "timestamp_future")
        raise refuse(
            f"the signature is too {side}",
            reason,
            f"it was made {show(abs(age))} {'ago' if age > 0 else 'ahead'}, {show(self._tolerance)} are allowed: "
            f"a clock is off by {abs(age) // 1_000} s, or an old request is sent again",
        )

    def _suspect(self) -> str:
        return (
            "the secret is not the sender's (or was rotated there), something on the way changed the body, "
            f"or the sender signs something else than {self.form.content}"
        )

    def _make(self, scope: phrase.Scope, private: str | None) -> bytes:
        message = self._content(scope)
        if self._keys and isinstance(self._keys[0], Digest):
            return self._keys[0].sign(message)
        if private is None:
            raise ValueError(f"this sender signs with a private key ({self.form.algorithm}); give it in PEM")
        return keys.sign(private, self.form.algorithm, self.form.encoding, message)

    def _put_time(self, request: Request) -> Request:
        time = self.form.timestamp
        if time is None:
            return request
        now: Any = moment.WRITE[time.unit](request.received_at)
        if time.at:
            return put(request, time.at, now)
        if time.header:
            return with_header(request, time.header, now)
        return with_header(request, self.form.header or "", f"{time.prefix or ''}{now}")

    def _place(self, request: Request, signature: bytes) -> Request:
        value = (self._prefix + signature).decode()
        if self.form.at:
            return put(request, self.form.at, value)
        time = self.form.timestamp
        if time and not time.at and not time.header:
            value = f"{request.headers.first(self._header)}{self.form.separator}{value}"
        return with_header(request, f"{self.form.header}-1" if self.form.numbered else self.form.header or "", value)


def _lower(signature: bytes) -> bytes:
    """Hex all in capitals, as some platforms print it, in small letters; mixed case is left as wrong as it is."""
    return signature.lower() if signature.isupper() else signature


def _no_time(where: str) -> str:
    raise refuse("the signature has no time", "timestamp_missing", f"{where} is not in the request")
