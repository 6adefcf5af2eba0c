"""Bodies of strangers that are small to send and dear to read, and a meter for what is done about them."""

import gzip
import json as library
import zlib
from contextlib import contextmanager
from dataclasses import dataclass

import xmltodict

from relay import effort
from relay.effort import Aside, Heavy, light
from relay.schemes import document, form, inflate, phrase
from relay.schemes.keys import Digest, Public

LARGE = 1 << 20


def _fill(unit, size, before=b"", after=b""):
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def _part(size):
    part = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    return _fill(part, size, b"", b"--b--\r\n")


_SHAPES = {
    "lists": ("application/json", lambda size: _fill(b"[],", size, b"[", b"1]")),
    "objects": ("application/json", lambda size: _fill(b'{"a":0},', size, b"[", b"1]")),
    "floats": ("application/json", lambda size: _fill(b"1e5,", size, b"[", b"1]")),
    "one object": ("application/json", lambda size: _fill(b'"a":[],', size, b"{", b'"b":1}')),
    "deep": ("application/json", lambda size: b"[" * size),
    "blanks": ("application/json", lambda size: _fill(b" ", size, b"[", b"1]")),
    "escapes": ("application/json", lambda size: _fill(b"\\u0041", size, b'["', b'"]')),
    "strings": ("application/json", lambda size: _fill(b'"",', size, b"[", b'""]')),
    "in a list": ("application/json", lambda size: _fill(b"[],", size, b'[{"a":[', b"1]}]")),
    "lines": ("application/x-ndjson", lambda size: _fill(b"[]\n", size)),
    "elements": ("text/xml", lambda size: _fill(b"<a/>", size, b"<r>", b"</r>")),
    "open elements": ("text/xml", lambda size: _fill(b"<a>", size)),
    "attributes": ("text/xml", lambda size: b"<a " + b" ".join(b'a%x=""' % at for at in range(size // 11)) + b"/>"),
    "fields": ("application/x-www-form-urlencoded", lambda size: _fill(b"a=&", size)),
    "percents": ("application/x-www-form-urlencoded", lambda size: _fill(b"%41", size, b"a=")),
    "parts": ("multipart/form-data; boundary=b", _part),
}


@dataclass(frozen=True)
class Attack:
    """A body with what its sender says of it."""

    name: str
    content_type: str
    body: bytes
    encoding: str | None = None


def _attacks():
    for name, (content_type, make) in _SHAPES.items():
        for size in (15 << 10, LARGE):
            packed = gzip.compress(make(size), 6, mtime=0)
            yield Attack(f"{name} {size >> 10} KiB gzip", content_type, packed, "gzip")
        yield Attack(f"{name} 64 KiB", content_type, make(64 << 10))
    yield Attack("objects 1024 KiB", "application/json", _SHAPES["objects"][1](LARGE))
    members = gzip.compress(b"", mtime=0) * 90 + gzip.compress(b"[" + b" " * LARGE, mtime=0)
    yield Attack("members gzip", "application/json", members, "gzip")


ATTACKS = tuple(_attacks())


class Meter:
    """What was done on the event loop: bytes out of compressions, bytes and values parsed, signatures, bytes hashed."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.inflated = self.parsed = self.values = self.signatures = self.hashed = self.beside = 0

    def __repr__(self):
        return str(vars(self))

    def add(self, **amounts):
        if not effort.is_full() or "signatures" in amounts:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)


class Loop(Aside):
    """Does what is light, and of the rest only counts that it goes elsewhere."""

    def __init__(self, meter):
        self._meter = meter

    async def run(self, work):
        try:
            with light():
                return work()
        except Heavy:
            self._meter.beside += 1
            raise


def _lines(file):
    return file.getvalue().count(b"\n")


class _Inflater:
    def __init__(self, machine, meter):
        self._machine, self._meter = machine, meter

    def decompress(self, *arguments):
        out = self._machine.decompress(*arguments)
        self._meter.add(inflated=len(out))
        return out

    def __getattr__(self, name):
        return getattr(self._machine, name)


@contextmanager
def metered(monkeypatch):
    """A meter on everything that reads a body or makes a signature."""
    meter = Meter()

    def watch(owner, name, count):
        real = getattr(owner, name)

        def watched(*arguments, **keywords):
            meter.add(**count(*arguments))
            return real(*arguments, **keywords)

        patch.setattr(owner, name, watched)

    def judged(key, message, signatures):
        public = isinstance(key, Public)
        return {
            "signatures": len(signatures) if public else 1,
            "hashed": len(message) * (len(signatures) if public else 1),
        }

    class Decoder(library.JSONDecoder):
        def raw_decode(self, text, start=0):
            meter.add(parsed=len(text), values=text.count(",") + text.count("["))
            return super().raw_decode(text, start)

    class Phrases:
        JSONDecoder = Decoder

    class Inflaters:
        error = zlib.error

        @staticmethod
        def decompressobj(window):
            return _Inflater(zlib.decompressobj(window), meter)

    with monkeypatch.context() as patch:
        patch.setattr(inflate, "zlib", Inflaters)
        patch.setattr(phrase, "json", Phrases)
        watch(document, "_decode", lambda text: {"parsed": len(text), "values": document._values(text)})
        watch(form, "parse_qsl", lambda text: {"parsed": len(text), "values": 8 * text.count("&")})
        watch(
            form,
            "MultipartParser",
            lambda file, *_: {"parsed": len(file.getvalue()), "values": file.getvalue().count(b"\n")},
        )
        watch(xmltodict, "parse", lambda raw: {"parsed": len(raw), "values": 4 * raw.count(b"<") + 2 * raw.count(b"=")})
        watch(Digest, "matches", judged)
        watch(Public, "matches", judged)
        yield meter
