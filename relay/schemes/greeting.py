"""Handshakes: requests that ask whether somebody is at home; answered, logged, and never an event."""

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from relay.errors import Rejected
from relay.schemes import phrase
from relay.schemes.entry import Answer, Handshake
from relay.schemes.request import Request, octets
from relay.secret import SHORT, Secret

_LONGEST: Final = 4_096


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in the vendor's own form."""

    status: int = 200
    type: str = "application/json"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Greeting:
    """A handshake that was recognised: its name, the answer, a secret to keep, an address to fetch."""

    name: str
    reply: Reply
    learn: Secret | None = None
    confirm: str | None = None


class Greeter:
    """One handshake of a vendor, compiled."""

    def __init__(self, form: Handshake, options: Mapping[str, str], key: bytes) -> None:
        self.form = form
        self._options = options
        self._key = key
        self._when = [(phrase.place(text), wanted) for text, wanted in form.when.items()]
        self._equal = [(phrase.place(one), phrase.place(other), one) for one, other in form.equal.items()]
        self._learn = phrase.place(form.learn) if form.learn else None
        self._confirm = phrase.place(form.confirm) if form.confirm else None
        self._host = re.compile(form.host)
        self._answer = Replier(form.answer)

    def fits(self, request: Request) -> bool:
        """Whether the request is this handshake; its proof is another question."""
        if request.method != self.form.method:
            return False
        return all(phrase.holds(find, wanted, request, self._options) for find, wanted in self._when)

    def greet(self, request: Request) -> Greeting:
        """The answer. Raises `Rejected` (403) when what the sender shows is not what was agreed."""
        scope = phrase.Scope(request, options=self._options, key=self._key)
        for one, other, name in self._equal:
            wanted = other(scope)
            if not _is_one_of(one(scope), wanted):
                hint = f"the handshake's {name.strip('{} ')} is not what this source is configured with"
                raise Rejected("this handshake is not ours", status=403, reason="handshake_wrong", hint=hint)
        return Greeting(self.form.name, self._answer.fill(scope), self._secret(scope), self._address(scope))

    def _secret(self, scope: phrase.Scope) -> Secret | None:
        """The secret that it brings. With a short one, whoever guesses it could sign."""
        learnt = self._learn(scope) if self._learn else None
        if learnt and len(learnt) < SHORT:
            hint = f"it brings a secret of less than {SHORT} characters, which no vendor does"
            raise Rejected("this secret is too short", status=403, reason="handshake_wrong", hint=hint)
        return Secret(learnt) if learnt else None

    def _address(self, scope: phrase.Scope) -> str | None:
        if self._confirm is None:
            return None
        url = self._confirm(scope) or ""
        scheme, _, rest = url.partition("://")
        if scheme != "https" or not self._host.fullmatch(rest.partition("/")[0].partition("?")[0]):
            hint = "somebody forges a handshake, so that this relay fetches an address of theirs"
            raise Rejected(
                "the address to confirm is not the vendor's", status=403, reason="handshake_wrong", hint=hint
            )
        return url


class Replier:
    """A vendor's answer, compiled."""

    def __init__(self, form: Answer) -> None:
        self._form = form
        self._text = None if form.text is None else phrase.place(form.text)
        self._json = {
            key: phrase.place(value) if isinstance(value, str) and "{{" in value else value
            for key, value in (form.json_ or {}).items()
        }
        self._headers = {name: phrase.place(text) for name, text in form.headers.items()}

    def fill(self, scope: phrase.Scope) -> Reply:
        """The answer to one request."""
        told = {name: find(scope) for name, find in self._headers.items()}
        headers = {name: _line(value) for name, value in told.items() if value}
        return Reply(self._form.status, self._form.type, self._body(scope), headers)

    def _body(self, scope: phrase.Scope) -> bytes:
        if self._form.json_ is not None:
            filled: dict[str, Any] = {
                key: _short(value(scope)) if callable(value) else value for key, value in self._json.items()
            }
            return json.dumps(filled).encode()
        return _short(self._text(scope)).encode() if self._text else b""


def _is_one_of(shown: str | None, wanted: str | None) -> bool:
    """Whether it is one of the lines; in constant time, since it may be a secret."""
    matched = False
    for line in (wanted or "").split("\n") if wanted and shown else ():
        matched |= hmac.compare_digest(line.encode(), octets(shown or ""))
    return matched


def _short(text: str | None) -> str:
    return (text or "")[:_LONGEST].encode("utf-8", "replace").decode()


def _line(text: str) -> str:
    """Header values end where a line would."""
    return re.split(r"[\r\n\0]", text[:_LONGEST])[0]
