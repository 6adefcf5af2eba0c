"""A secret that the sender shows as it is, in a header, in the URL or in the body; and `none`, not even that."""

import base64
import copy
import hmac
from collections.abc import Iterable
from typing import Any, Final

from relay.schemes import phrase
from relay.schemes.put import put, set_at, with_body, with_header
from relay.schemes.request import Request, octets
from relay.schemes.spec import ALWAYS_SECRET, NOTHING, Evidence
from relay.schemes.suspect import refuse


class Open:
    """Anybody who knows the address can send."""

    proves: Final = False
    challenge: Final[str | None] = None
    secret_headers: Final = ALWAYS_SECRET

    def applies(self, request: Request) -> bool:  # noqa: ARG002 - a proof takes what it does not need
        """Always."""
        return True

    def suits(self, request: Request) -> bool:  # noqa: ARG002 - a proof takes what it does not need
        """As `Proof.suits` says."""
        return True

    def verify(self, request: Request) -> Evidence:  # noqa: ARG002 - likewise
        """Nothing is proved."""
        return NOTHING

    def sign(self, request: Request, private: str | None) -> Request:  # noqa: ARG002 - likewise
        """The request as it is."""
        return request


class Shown:
    """A header equals one of a few values.

    `words` are the credentials after `lead` (`Bearer`, `Basic`); `bare` accepts them without it, too.
    """

    proves: Final = True

    def __init__(self, header: str, lead: str, words: tuple[bytes, ...], *, bare: bool, challenge: str | None) -> None:
        self._header = header
        self._name = header.lower()
        self._lead = lead
        self._words = words
        self._bare = bare
        self.challenge = challenge
        self.secret_headers = ALWAYS_SECRET | {self._name}

    def applies(self, request: Request) -> bool:
        """As `Proof.applies` says."""
        return self._name in request.headers

    def suits(self, request: Request) -> bool:  # noqa: ARG002 - a proof takes what it does not need
        """As `Proof.suits` says."""
        return True

    def verify(self, request: Request) -> Evidence:
        """As `Proof.verify` says."""
        _require(self._words, octets(self._strip(request.headers.sole(self._name, "token"))), self._header)
        return NOTHING

    def sign(self, request: Request, private: str | None) -> Request:  # noqa: ARG002 - a proof takes what it does not need
        """With the one header."""
        word = self._words[0].decode()
        return with_header(request, self._header, word if self._bare else f"{self._lead} {word}")

    def _strip(self, value: str) -> str:
        lead, _, rest = value.partition(" ")
        if self._lead and lead.lower() == self._lead.lower() and rest:
            return rest.strip()
        if self._bare:
            return value
        raise refuse(
            f"the header {self._header} does not hold {self._lead} and a credential",
            "token_malformed",
            f"the sender must send `{self._header}: {self._lead} ...`",
        )


class InUrl:
    """A parameter of the URL equals one of a few values: for vendors that sign nothing and let an address be set."""

    proves: Final = True
    challenge: Final[str | None] = None
    secret_headers: Final = ALWAYS_SECRET

    def __init__(self, query: str, words: tuple[bytes, ...]) -> None:
        self._query = query
        self._words = words

    def applies(self, request: Request) -> bool:
        """As `Proof.applies` says."""
        return self._query in request.query

    def suits(self, request: Request) -> bool:  # noqa: ARG002 - a proof takes what it does not need
        """As `Proof.suits` says."""
        return True

    def verify(self, request: Request) -> Evidence:
        """As `Proof.verify` says."""
        shown = request.query.get(self._query)
        if not shown:
            hint = f"the address set at the sender must end in ?{self._query}=<secret>"
            raise refuse(f"the parameter {self._query} is missing in the URL", "token_missing", hint)
        if request.times(self._query) > 1:
            hint = f"the address set at the sender has {self._query} several times"
            raise refuse(f"the parameter {self._query} is there several times", "token_malformed", hint)
        _require(self._words, octets(shown), f"?{self._query}=")
        return NOTHING

    def sign(self, request: Request, private: str | None) -> Request:  # noqa: ARG002 - a proof takes what it does not need
        """With the parameter."""
        return put(request, f'{{{{ query["{self._query}"] }}}}', self._words[0].decode())


class InBody:
    """A field of the body, or of every item in it, equals one of a few values. The body is parsed to find it."""

    proves: Final = True
    challenge: Final[str | None] = None
    secret_headers: Final = ALWAYS_SECRET

    def __init__(self, at: str, words: tuple[bytes, ...]) -> None:
        self._at = at
        self._path = phrase.path_of(at)
        self._words = words

    def applies(self, request: Request) -> bool:
        """As `Proof.applies` says."""
        return any(True for _ in _walk(request.data, self._path))

    def suits(self, request: Request) -> bool:  # noqa: ARG002 - a proof takes what it does not need
        """As `Proof.suits` says."""
        return True

    def verify(self, request: Request) -> Evidence:
        """As `Proof.verify` says."""
        shown = list(_walk(request.data, self._path))
        if not shown or any(value is None for value in shown):
            raise refuse(f"the token at {self._at} is missing", "token_missing", f"the sender leaves out {self._at}")
        for value in shown:
            _require(self._words, octets(phrase.text_of(value) or ""), self._at)
        return NOTHING

    def sign(self, request: Request, private: str | None) -> Request:  # noqa: ARG002 - a proof takes what it does not need
        """With the field."""
        data = copy.deepcopy(request.read().data)
        set_at(data, self._path, self._words[0].decode())
        return with_body(request, data)


def pair(user: str, password: str) -> bytes:
    """User and password as HTTP's Basic scheme writes them (RFC 7617)."""
    return base64.b64encode(f"{user}:{password}".encode())


def _require(words: Iterable[bytes], shown: bytes, where: str) -> None:
    matched = False
    for word in words:
        matched |= hmac.compare_digest(word, shown)
    if not matched:
        hint = f"what {where} holds is none of this source's secrets: it was rotated, or mistyped"
        raise refuse("the token is wrong", "token_wrong", hint)


def _walk(data: Any, path: list[str]) -> Iterable[Any]:
    """The values at a path; `*` is every item of a list, and None stands for what is not there."""
    if "*" not in path:
        yield phrase.dig(data, path)
        return
    at = path.index("*")
    items = phrase.dig(data, path[:at])
    for item in items if isinstance(items, list) else ():
        yield from _walk(item, path[at + 1 :])
