"""A JSON Web Token in a header (RFC 7519), whose claims tie it to this request."""

import hashlib
import uuid
import warnings
from collections.abc import Mapping
from typing import Any, Final

import jwt
from jwt.types import Options

from relay.schemes import phrase
from relay.schemes.entry import Jwt
from relay.schemes.put import with_header
from relay.schemes.request import Request
from relay.schemes.spec import ALWAYS_SECRET, NOTHING, Evidence
from relay.schemes.suspect import refuse

_LIFETIME: Final = 300


class JwtProof:
    """One entry `by: jwt`. `live` are shared secrets or public keys in PEM; `leeway` is milliseconds, `covers`
    as in `Evidence`."""

    proves: Final = True
    challenge: Final[str | None] = None

    def __init__(
        self,
        form: Jwt,
        live: tuple[str, ...],
        leeway: int,
        options: Mapping[str, str],
        covers: tuple[bool, ...] = (),
    ) -> None:
        self._form = form
        self._name = form.header.lower()
        self._live = live
        self._leeway = leeway / 1_000
        self._options = options
        self._claims = {claim: phrase.place(text) for claim, text in form.claims.items()}
        self._covers = covers
        self.secret_headers = ALWAYS_SECRET | {self._name}

    def applies(self, request: Request) -> bool:
        """As `Proof.applies` says."""
        return self._name in request.headers

    def suits(self, request: Request) -> bool:  # noqa: ARG002 - a proof takes what it does not need
        """As `Proof.suits` says."""
        return True

    def verify(self, request: Request) -> Evidence:
        """As `Proof.verify` says."""
        claims = self._decode(request.headers.sole(self._name, "token"))
        self._judge(claims, request.received_at / 1_000)
        for claim, find in self._claims.items():
            self._compare(claim, claims, find(phrase.Scope(request, options=self._options)), request)
        if not any(self._covers):
            return NOTHING
        return Evidence(hashlib.sha256(request.body).digest(), None, self._covers)

    def sign(self, request: Request, private: str | None) -> Request:
        """As `Proof.sign` says."""
        form = self._form
        now = request.received_at // 1_000
        claims: dict[str, Any] = {"iat": now, "nbf": now, "exp": now + _LIFETIME, "jti": str(uuid.uuid4())}
        if form.issuer:
            claims["iss"] = form.issuer
        for claim, find in self._claims.items():
            if request.body or not claim.endswith("?"):
                claims[claim.removesuffix("?")] = find(phrase.Scope(request, options=self._options))
        key = private if form.algorithm == "RS256" else self._live[0]
        if key is None:
            raise ValueError("this sender signs with a private key (RS256); give it in PEM")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
            token = jwt.encode(claims, key, form.algorithm)
        return with_header(request, form.header, f"{form.lead} {token}" if form.lead else token)

    def _decode(self, shown: str) -> dict[str, Any]:
        lead, _, rest = shown.partition(" ")
        token = rest.strip() if rest and lead.lower() == (self._form.lead or "bearer").lower() else shown
        for key in self._live:
            try:
                return _decode(token, key, self._form.algorithm)
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, UnicodeError) as error:
                raise refuse("the token cannot be read", "token_malformed", f"{self._form.header}: {error}") from None
        hint = "the secret is not the sender's, or was rotated there"
        raise refuse("the token's signature does not match", "signature_wrong", hint)

    def _judge(self, claims: Mapping[str, Any], now: float) -> None:
        """Its times, judged at the request's own time and not at the library's."""
        for claim in self._form.required:
            if claim not in claims:
                raise refuse(f"the token has no {claim}", "token_malformed", f"the sender's token lacks {claim}")
        if self._form.issuer and claims.get("iss") != self._form.issuer:
            raise refuse("the token is somebody else's", "token_wrong", f"its issuer is not {self._form.issuer}")
        ends, begins = _number(claims, "exp"), _number(claims, "nbf")
        if ends is not None and now >= ends + self._leeway:
            raise refuse("the token has expired", "timestamp_old", f"it ended {now - ends:.0f} s ago")
        if begins is not None and now < begins - self._leeway:
            raise refuse("the token is not valid yet", "timestamp_future", f"it begins in {begins - now:.0f} s")

    def _compare(self, claim: str, claims: Mapping[str, Any], wanted: str | None, request: Request) -> None:
        name = claim.removesuffix("?")
        told = claims.get(name)
        if claim.endswith("?") and not request.body:
            wanted = None
        listed = told if isinstance(told, list) else [told]
        if wanted is None and told is None and claim.endswith("?"):
            return
        if wanted is None or wanted not in listed:
            hint = f"{name} is not what this request gives: another address or body, or an old token sent again"
            raise refuse(f"the token's {name} does not fit this request", "token_foreign", hint)


def _decode(token: str, key: str, algorithm: str) -> dict[str, Any]:
    """The claims; how long a vendor's secret is, is the vendor's affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        return jwt.decode(token, key, algorithms=[algorithm], options=_UNJUDGED)


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refuse(f"the token's {name} is not a time", "token_malformed", f"{name} is not a number")
    try:
        return float(value)
    except OverflowError:
        raise refuse(f"the token's {name} is not a time", "token_malformed", f"{name} is beyond all times") from None


_UNJUDGED: Final[Options] = {
    "verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False,
    "verify_iss": False,
}  # fmt: skip
