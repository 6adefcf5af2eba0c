"""Places in a request where a proof or a time stands: read, written, left out, and bent by one bit."""

import json
import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from relay.schemes import Headers, phrase
from relay.schemes.entry import Jwt, Nothing, Signature, Token

_NAMED = re.compile(r"""\{\{ (headers|query)\["(.+)"\] \}\}""")


@dataclass(frozen=True)
class Spot:
    """`where` is header, query or data, `name` the header, the parameter or the path; `*` in it is the last item."""

    where: str
    name: str

    def read(self, request):
        """The value as it stands there."""
        if self.where == "header":
            return request.headers.first(self.name)
        if self.where == "query":
            return request.query[self.name]
        return _inner(json.loads(request.body), self._path)[self._path[-1]]

    def write(self, request, *values):
        """The request with these values there; with none it has no such header, parameter or field."""
        if self.where == "header":
            kept = [pair for pair in request.headers.flat() if pair[0] != self.name]
            return replace(request, headers=Headers([*kept, *((self.name, value) for value in values)]))
        if self.where == "query":
            parts = urlsplit(request.url)
            kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != self.name]
            query = urlencode([*kept, *((self.name, value) for value in values)], errors="surrogatepass")
            return replace(request, url=urlunsplit(parts._replace(query=query)))
        data = json.loads(request.body)
        inner = _inner(data, self._path)
        inner.pop(self._path[-1], None)
        for value in values:
            inner[self._path[-1]] = value
        return replace(request, body=json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())

    @property
    def _path(self):
        return self.name.split(".")


def of_proof(form, options):
    """Where the proof of an entry stands, as a source with these options has it."""
    match form:
        case Signature(each=each, at=at) if each:
            return Spot("data", f"{each}.*.{at.strip('{} ')}".replace("data.", ""))
        case Signature(at=at) if at:
            return of_phrase(at)
        case Signature(header=header, numbered=numbered):
            return Spot("header", header.lower() + ("-1" if numbered else ""))
        case Token(at=at) if at:
            return Spot("data", at.removeprefix("data."))
        case Token(query=name) | Nothing(query=name) if name:
            return Spot("query", options.get("query", name))
        case Token(header=name) | Jwt(header=name):
            return Spot("header", options.get("header", name).lower())
    return Spot("header", options.get("header", "authorization").lower())


def of_time(form):
    """Where the time of signing stands, None where it is part of the signature's own header."""
    if form.timestamp is None:
        return None
    if form.timestamp.header:
        return Spot("header", form.timestamp.header.lower())
    return of_phrase(form.timestamp.at) if form.timestamp.at else None


def of_phrase(text):
    """Where a phrase of one name looks."""
    if match := _NAMED.fullmatch(text):
        return Spot({"headers": "header"}.get(match[1], match[1]), match[2])
    return Spot("data", ".".join(phrase.path_of(text.strip("{} "))))


def flips(text, every=1):
    """The text with one bit of one character flipped, for each character and each bit that leaves it printable."""
    bent = (
        text[:at] + chr(ord(character) ^ (1 << bit)) + text[at + 1 :]
        for at, character in enumerate(text)
        for bit in range(7)
        if chr(ord(character) ^ (1 << bit)).isprintable()
    )
    return [one for at, one in enumerate(bent) if at % every == 0]


def bent(body, every=1):
    """The bytes with one bit flipped, another one in each byte."""
    for at in range(0, len(body), every):
        flipped = bytearray(body)
        flipped[at] ^= 1 << (at % 8)
        yield bytes(flipped)


def _inner(data, path):
    for key in path[:-1]:
        data = data[-1] if key == "*" else data[key]
    return data
