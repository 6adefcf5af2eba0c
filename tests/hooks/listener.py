"""A real listener on a free port, with an intake that records in place of the ledger."""

import contextlib
import gzip
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import aiohttp
from aiohttp import web

from relay.errors import Retryable
from relay.hooks import Bounds, Caps, Crowd, Front, Hook, TurnedAway
from relay.model import EventStatus, Receipt, new_id
from relay.rules import Template
from relay.schemes import SchemeSpec, build
from relay.secret import Secret
from relay.telemetry import Metrics
from tests.signing import sign

NOW = 1_700_000_000_000
MAX_BODY = 1 << 20
CAPS = Caps(linger=0.5)


@dataclass
class Recorder:
    """Takes every delivery, knows an identity again, or raises `error` instead."""

    deliveries: list = field(default_factory=list)
    seen: dict = field(default_factory=dict)
    error: Exception | None = None

    @property
    def events(self):
        return [event for delivery in self.deliveries for event in delivery]

    async def accept(self, events):
        if self.error is not None:
            raise self.error
        self.deliveries.append(list(events))
        return [self._receipt(event) for event in events]

    async def known(self, events):
        if any((event.source, event.origin, event.external_id) not in self.seen for event in events):
            return None
        return [self._receipt(event) for event in events]

    def _receipt(self, event):
        identity = (event.source, event.origin, event.external_id)
        if event.external_id is not None and identity in self.seen:
            first = self.seen[identity]
            return Receipt(first, event.external_id, EventStatus.DUPLICATE, event.type)
        self.seen[identity] = event.id
        status = EventStatus.UNREADABLE if event.unreadable else EventStatus.ACCEPTED
        return Receipt(event.id, event.external_id, status, event.type, () if event.unreadable else (("d-1", "rule"),))


def hook(name, scheme, secret=None, *, event=None, bounds=None, **options):
    secrets = (Secret(secret),) if secret else ()
    templates = {key: Template(text) for key, text in (event or {}).items()}
    spec = SchemeSpec(scheme, secrets, options)
    return Hook(name, build(spec), spec, templates, bounds=bounds or Bounds())


HOOKS = {
    made.name: made
    for made in (
        hook("open", "none"),
        hook("partners", "standard-webhooks", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        hook("code", "github", "Sesam-github"),
        hook("helpdesk", "zendesk", "Sesam-zendesk"),
        hook("token", "bearer", "Sesam-bearer"),
        hook("login", "basic", "user:Sesam-basic"),
        hook("url", "hmac", "Sesam-url", header="X-Signature", content="{{ method }}{{ url }}{{ body }}"),
        hook(
            "shop",
            "hmac",
            "Sesam-shop",
            header="X-Signature",
            event={
                "id": "{{ data.order.id }}",
                "type": "order.{{ data.status }}",
                "subject": '{{ headers["x-shop"] }}',
                "time": "{{ data.at }}",
            },
        ),
        hook("strict", "hmac", "Sesam-strict", header="X-Signature", event={"id": "{{ data.n + 1 }}"}),
    )
}


@dataclass
class Listener:
    """The listener, and what it did: deliveries, refusals kept, metrics."""

    url: str
    intake: Recorder
    metrics: Metrics
    rejected: list
    paused: set
    front: Front
    open: Callable[[], None]
    session: aiohttp.ClientSession
    crowd: Crowd

    async def post(self, source, body=b"{}", headers=None, *, method="POST"):
        """Status, headers and parsed answer of one request, as it stands."""
        given = {"Content-Type": "application/json"} | (headers or {})
        async with self.session.request(
            method,
            f"{self.url}/hooks/{source}",
            data=io.BytesIO(body),
            headers={name: value for name, value in given.items() if value is not None},
            skip_auto_headers=["Content-Type"],
        ) as answer:
            return answer.status, answer.headers, await read(answer)

    async def send(self, source, body=b"{}", headers=None, *, id_="e-1", type_=None, secret_of=None):
        """One request signed as the sender would."""
        scheme = HOOKS[secret_of or source].scheme
        signed = sign(scheme, body, now=NOW, id=id_, type=type_, url=f"{self.url}/hooks/{source}")
        return await self.post(source, body, signed | (headers or {}))

    def turned_away(self, cap):
        labels = {"listener": "hooks", "cap": cap}
        return self.metrics.registry.get_sample_value("relay_turned_away_total", labels) or 0

    def counted(self, source, reason):
        return self.metrics.registry.get_sample_value("relay_rejections_total", {"source": source, "reason": reason})


async def read(answer):
    body = await answer.read()
    return json.loads(body) if answer.content_type.endswith("json") else body


@contextlib.asynccontextmanager
async def listen(
    *,
    hooks=HOOKS,
    intake=None,
    reject=None,
    fetch=None,
    learn=None,
    clock=lambda: NOW,
    public_url=None,
    trusted_proxies=(),
    max_body=MAX_BODY,
    caps=CAPS,
    monotonic=None,
    limit_refused=None,
    opened=True,
):
    """A running listener; afterwards it is shut down. `intake` stands in for the Recorder.

    Unless `opened`, nothing is taken before its `open` is called.
    """
    intake, metrics, rejected, paused = intake or Recorder(), Metrics(), [], set()

    monotonic = monotonic or (lambda: time.monotonic() * 1_000)
    crowd = Crowd(caps, TurnedAway("hooks", metrics, monotonic), trusted_proxies)

    async def keep(rejection):
        rejected.append(rejection)

    front = Front(crowd, most=max_body)
    await front.setup()
    start = partial(
        front.open,
        hooks,
        intake,
        max_body=max_body,
        ids=new_id,
        clock=clock,
        metrics=metrics,
        public_url=lambda: public_url,
        reject=reject or keep,
        paused=paused.__contains__,
        fetch=fetch or no_fetch,
        learn=learn or no_learn,
        monotonic=monotonic,
        limit_refused=limit_refused,
    )
    if opened:
        start()
    site = web.TCPSite(front, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{front.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session:
            yield Listener(url, intake, metrics, rejected, paused, front, start, session, crowd)
    finally:
        await front.cleanup()


async def no_fetch(url):
    raise Retryable(f"nothing is fetched here: {url}")


async def no_learn(name, secret):
    return False


def gzipped(body):
    return gzip.compress(body, mtime=0)
