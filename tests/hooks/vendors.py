"""Every vendor's sample as a source of a real listener, and requests that are signed as that vendor does."""

from dataclasses import fields, replace

import aiohttp
from yarl import URL

from relay.hooks import Hook
from relay.model import Event
from relay.schemes import SchemeSpec, build, vendor
from relay.secret import Secret
from tests.hooks.listener import read
from tests.schemes import cases
from tests.schemes.cases import sample, way

NAMES = sorted(file.stem for file in cases.FOLDER.glob("*.yaml"))
"""The schemes with a sample: all but those that the operator describes."""

HANDSHAKES = [(name, told["name"]) for name in NAMES for told in sample(name).get("handshakes", ())]


def hook(name, *, secrets=None, **options):
    """The source of a sample; `secrets` and `options` in place of the sample's."""
    spec = _spec(name)
    live = spec.secrets if secrets is None else tuple(map(Secret, secrets))
    given = {key: value for key, value in (dict(spec.options) | options).items() if value is not None}
    spec = replace(spec, secrets=live, options=given)
    return Hook(name, build(spec), spec)


def hooks(*only):
    """One source per sample, by name."""
    return {name: hook(name) for name in only or NAMES}


def request(listener, name, handshake=None):
    """The sample, or one of its handshakes, as it would come to the listener, before it is signed."""
    made = cases.request_of(name, handshake)
    return replace(made, url=made.url.replace(cases.URL, f"{listener.url}/hooks/{name}", 1))


def sign(name, made):
    """The request, signed as the vendor signs it."""
    if vendor(name).picks:
        return build(_spec(name)).sign(made, id="e-1", type="ticket.created")
    return way(name).sign(made)


def spot(name):
    """Where the vendor's proof stands."""
    return way((*vendor(name).picks, name)[0]).spot


async def post(listener, made):
    """Status, headers and parsed answer of a request, sent as it stands."""
    async with listener.session.request(
        made.method,
        URL(made.url, encoded=True),
        data=aiohttp.BytesPayload(made.body) if made.body else None,
        headers=made.headers.flat(),
        skip_auto_headers=["Content-Type"],
    ) as answer:
        return answer.status, answer.headers, await read(answer)


def stored(event):
    """All that the ledger would hold of an event, as one text."""
    return "\n".join(f"{getattr(event, one.name)!r}" for one in fields(Event))


def _spec(name):
    if vendor(name).picks:
        return SchemeSpec(name, (Secret(sample(name)["secret"]),), sample(name).get("options", {}))
    known = way(name)
    return SchemeSpec(name, (Secret(known.secret),) if known.secret else (), known.options)
