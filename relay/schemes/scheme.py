"""A scheme, ready to judge: one or more proofs, and what the vendor's entry says of events, handshakes and answers."""

import copy
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from relay.effort import Heavy
from relay.errors import Rejected
from relay.schemes import form, phrase
from relay.schemes.entry import Body, Replay, Vendor
from relay.schemes.fields import FieldPlaces, remove
from relay.schemes.greeting import Greeter, Greeting, Replier, Reply
from relay.schemes.jwt import JwtProof
from relay.schemes.put import with_header
from relay.schemes.reading import Form, Reading
from relay.schemes.request import Request
from relay.schemes.signature import Signed
from relay.schemes.spec import Evidence, Identity, Proof
from relay.schemes.suspect import refuse

_PROBE: Final = Greeting("probe", Reply())
"""HEAD asks whether somebody is at home (Intercom before it saves an address, monitors at any time); it says
nothing."""

_LARGEST_GREETING: Final = 16 << 10
"""Bytes: a stranger's body is not parsed to see whether it greets when it is larger than any greeting."""


CLOUD_HEADERS: Final = frozenset({"ce-id", "ce-source", "ce-type"})


class Cloud(Enum):
    """Where CloudEvents are looked for: nowhere; in the headers and by the content type, where these are worth as much
    as the body; in the body alone, where only that is signed."""

    NO = "no"
    HEADERS = "headers"
    BODY = "body"


class Scheme:
    """How one source's sender proves itself, and where it says what happened.

    Of several proofs, which have the same strength, the first that a request has counts. `key` is the first secret,
    for handshakes that are answered with an HMAC. `hashed` gives events without an id the hash of their body.
    `cloudevents` says that its events may be CloudEvents, `replay` is as in `Vendor`.
    """

    def __init__(
        self,
        name: str,
        vendor: Vendor,
        proofs: Sequence[Proof],
        *,
        options: Mapping[str, str],
        key: bytes = b"",
        hashed: bool = True,
        lists: frozenset[str] = frozenset(),
        cut: Sequence[str] = (),
        cloudevents: bool = False,
        replay: Replay = "refuse",
    ) -> None:
        self.name = name
        self.vendor = vendor
        self.replay = replay
        self._twins = re.compile(vendor.twins)
        self._proofs = tuple(proofs)
        self._options = options
        self._greeters = [Greeter(one, options, key) for one in vendor.handshakes]
        self._places = FieldPlaces(vendor.event, options, hashed=hashed)
        self._answer = Replier(vendor.answer) if vendor.answer else None
        self._equal = [(phrase.place(one), phrase.place(other), one) for one, other in vendor.equal.items()]
        self._cut = [path.split(".")[1:] for path in (*vendor.cut, *cut)]
        self.lists = vendor.lists | lists
        self.cloud = self._cloud() if cloudevents else Cloud.NO
        self.bodies: tuple[Body, ...] = ("json",) if self.cloud is Cloud.BODY else vendor.bodies
        self.methods = {"POST", "HEAD"} | {greeter.form.method for greeter in self._greeters}
        hidden = frozenset(name.lower() for name in vendor.hide)
        self.secret_headers = hidden.union(*(proof.secret_headers for proof in self._proofs))

    @property
    def proves(self) -> bool:
        """False when anybody can send."""
        return all(proof.proves for proof in self._proofs)

    @property
    def signs(self) -> bool:
        """Whether its sender signs, so that a request which is sent again can be told."""
        return any(isinstance(proof, Signed | JwtProof) for proof in self._proofs)

    @property
    def used_at(self) -> tuple[int, ...]:
        """When each secret last proved a request, in milliseconds since the epoch, 0 for never since the start.

        Empty where that is not told: a token, a public key that is fetched, no secret.
        """
        return _latest([proof.used_at for proof in self._proofs if isinstance(proof, Signed)])

    def _cloud(self) -> "Cloud":
        """Attributes in headers count where a token proves all of a request alike, or where they are signed."""
        if not self.signs or all(getattr(proof, "named", frozenset()) >= CLOUD_HEADERS for proof in self._proofs):
            return Cloud.HEADERS
        return Cloud.BODY

    @property
    def cuts(self) -> bool:
        """Whether there may be credentials in a body."""
        return bool(self._cut)

    @property
    def keepable(self) -> bool:
        """Whether refused requests may be kept whole: what proves them is a signature, and no credential is inside."""
        return not self._cut and all(isinstance(proof, Signed) for proof in self._proofs)

    @property
    def challenge(self) -> str | None:
        """The `WWW-Authenticate` of a 401."""
        return next((proof.challenge for proof in self._proofs if proof.challenge), None)

    def of(self, request: Request) -> "Scheme":  # noqa: ARG002 - a choice of several schemes needs it
        """The scheme that judges this request."""
        return self

    def applies(self, request: Request) -> bool:
        """Whether the request is signed in this way, rightly or not."""
        return any(proof.applies(request) for proof in self._proofs)

    def verify(self, request: Request) -> Evidence:
        """Return when the request is the sender's, with what that is worth. Raises `Rejected` (401) with a stable
        reason and a hint, and `NeedsCertificate`."""
        proofs = self._proofs
        evidence = proofs[0].verify(request) if len(proofs) == 1 else self._verify_any(request)
        for one, other, name in self._equal:
            scope = phrase.Scope(request, options=self._options)
            wanted = other(scope)
            if wanted is not None and one(scope) not in wanted.split("\n"):
                hint = f"{name.strip('{} ')} is not what this source is configured with"
                raise refuse("this request is somebody else's", "sender_foreign", hint)
        return evidence

    def _verify_any(self, request: Request) -> Evidence:
        """By whichever proof the request shows; the refusal of the first of them when none holds."""
        first: Rejected | None = None
        for proof in self._proofs:
            if proof.applies(request):
                try:
                    return proof.verify(request)
                except Rejected as error:
                    first = first or error
        if first is None:
            return self._nearest(request).verify(request)
        raise first

    def _nearest(self, request: Request) -> Proof:
        """The proof whose refusal tells best what is missing, where the request shows none."""
        suiting = next((proof for proof in self._proofs if proof.suits(request)), None)
        if suiting is None:
            hint = "its body or type is of no form that this sender signs, or the source has the wrong scheme"
            raise refuse("this request is signed in no way that is known of its sender", "signature_missing", hint)
        return suiting

    def greet(self, request: Request, *, proved: bool) -> Greeting | None:
        """The answer to a handshake, None when the request is none.

        Those that are not signed are found before a request is verified, the others (`proved`) after. Raises
        `Rejected` (403) when what the sender shows is not what was agreed, `Heavy` only for those that are proved:
        of the others none is large.
        """
        if not proved and len(request.body) > _LARGEST_GREETING:
            return None
        try:
            found = next((one for one in self._greeters if one.form.proof is proved and one.fits(request)), None)
        except Heavy:
            if proved:
                raise
            return None
        if found is None and request.method == "HEAD" and not proved:
            return _PROBE
        return None if found is None else found.greet(request)

    def read(self, request: Request) -> Reading:
        """The body, JSON inside form fields unfolded. Raises `Unreadable`, `Rejected`."""
        reading = request.read()
        if not self.vendor.unfold or reading.form not in {Form.FIELDS, Form.PARTS}:
            return reading
        data = form.unfold(reading.data, self.vendor.unfold)
        whole = self.vendor.unwrap
        return replace(reading, data=data[whole] if whole and whole in data else data, sent=None)

    def items(self, data: Any) -> list[Any]:
        """The events in a body. Raises ValueError when the vendor's list is none."""
        return self._places.items(data)

    def clean(self, data: Any) -> tuple[Any, bool]:
        """The body without the credentials that the vendor puts into it, and whether there were any."""
        if not self._cut:
            return data, False
        data = copy.deepcopy(data)
        gone = [remove(data, path) for path in self._cut]
        return data, True in gone

    def identify(self, request: Request, item: Any) -> Identity:
        """What the sender says of one event, from the headers and the parsed item; never raises."""
        return self._places.identify(request, item)

    def repeat(self, evidence: Evidence, at: int) -> bytes | None:
        """By what the event at place `at` of a request is known again when it comes once more under another id: the
        SHA-256 of what was signed and the place. None where nothing is signed, or a sender has the same body for
        several events."""
        if evidence.signed is None or self.replay == "allow":
            return None
        return hashlib.sha256(b"%d %b" % (at, evidence.signed)).digest()

    def has_twins(self, type: str | None) -> bool:  # noqa: A002 - the word of the wire
        """Whether an event of another type may have the very body that one of this type has."""
        return self.replay == "type" and type is not None and self._twins.fullmatch(type) is not None

    def reply(self, request: Request) -> Reply | None:
        """The answer that the vendor wants once its events are kept; None where ours will do."""
        return self._answer.fill(phrase.Scope(request, options=self._options)) if self._answer else None

    def sign(self, request: Request, *, id: str, type: str | None = None, private: str | None = None) -> Request:  # noqa: A002 - the words of the wire
        """The request as the sender would send it, with the first secret, or a private key in PEM.

        A header that the signature covers holds the id. Raises ValueError where a private key is missing or wrong.
        """
        request = replace(request, bodies=self.bodies)
        for name, what in self.vendor.mark.items():
            value = id if what == "id" else (type or "").split(".", 1)[0]
            if value and name.lower() not in request.headers:
                request = with_header(request, name, value)
        proof = next((proof for proof in self._proofs if proof.suits(request)), self._proofs[0])
        for name in sorted(getattr(proof, "named", ())):
            if name not in request.headers:
                request = with_header(request, name, id)
        return proof.sign(request, private)


class Choice(Scheme):
    """A vendor's bare name: one of several schemes, the strongest first, by what the request shows."""

    def __init__(self, name: str, vendor: Vendor, schemes: Sequence[Scheme]) -> None:
        super().__init__(name, vendor, (), options={})
        self._schemes = tuple(schemes)
        self.methods = set().union(*(scheme.methods for scheme in schemes))
        self.lists = frozenset().union(*(scheme.lists for scheme in schemes))
        self.bodies = tuple(dict.fromkeys(body for scheme in schemes for body in scheme.bodies))
        self.secret_headers = frozenset().union(*(scheme.secret_headers for scheme in schemes))

    @property
    def proves(self) -> bool:
        """False when anybody can send."""
        return all(scheme.proves for scheme in self._schemes)

    @property
    def used_at(self) -> tuple[int, ...]:
        """By whichever of them."""
        return _latest([scheme.used_at for scheme in self._schemes])

    @property
    def keepable(self) -> bool:
        """Whether those of each may."""
        return all(scheme.keepable for scheme in self._schemes)

    def of(self, request: Request) -> Scheme:
        """The first whose signature the request has, else the strongest, which refuses it."""
        return next((scheme for scheme in self._schemes if scheme.applies(request)), self._schemes[0])

    @property
    def signs(self) -> bool:
        """Whether one of them does."""
        return any(scheme.signs for scheme in self._schemes)

    def verify(self, request: Request) -> Evidence:
        """As `Scheme.verify` says."""
        return self.of(request).verify(request)

    def sign(self, request: Request, *, id: str, type: str | None = None, private: str | None = None) -> Request:  # noqa: A002 - the words of the wire
        """As the strongest signs."""
        return self._schemes[0].sign(request, id=id, type=type, private=private)


def _latest(times: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The latest of each position. Each proof of a source has the same secrets, or none."""
    some = [each for each in times if each]
    return tuple(max(each) for each in zip(*some, strict=False))
