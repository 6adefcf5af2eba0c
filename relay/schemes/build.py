"""From a source's configuration to its scheme; whatever could let a stranger in is a fault here, at load."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from relay import units
from relay.schemes import keys, phrase
from relay.schemes.catalog import names, vendor
from relay.schemes.cover import covers
from relay.schemes.entry import Jwt, Login, Nothing, Signature, Time, Token, Vendor
from relay.schemes.jwt import JwtProof
from relay.schemes.scheme import Choice, Scheme
from relay.schemes.signature import Signed
from relay.schemes.spec import Proof, SchemeFault, SchemeSpec
from relay.schemes.tokens import InBody, InUrl, Open, Shown, pair
from relay.schemes.trust import Trust
from relay.secret import Secret

ALGORITHMS: Final = ("sha1", "sha256", "sha512")
KEYS: Final = ("text", "hex", "base64")
SHARED: Final = frozenset({"cloudevents", "cut", "replay", "xml_lists"})
"""Keys of every scheme: whether events are CloudEvents, what is taken out of a body before it is kept, what a request
that comes again is, and which XML elements are lists."""

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def build(spec: SchemeSpec, *, lenient: bool = False) -> Scheme:
    """The scheme, ready to judge. Raises SchemeFault: unknown scheme or key, secret missing, empty or malformed, ...

    `lenient` does without keys that guard a listener and not a single request (the topics of SNS).
    """
    _require_known(spec)
    entry = vendor(spec.scheme)
    if entry.picks:
        return _choice(spec, entry, lenient=lenient)
    _require_secrets(spec, entry)
    if not lenient:
        _require_options(spec, entry)
    forms = (_described(spec),) if spec.scheme == "hmac" else entry.proof
    options = {key: _option(value) for key, value in spec.options.items() if key in entry.options}
    trust = _trust(forms, spec.options)
    proofs = [proof for form in forms for proof in _proof(form, spec, entry, options, trust)]
    if not proofs:
        raise SchemeFault("secret", f"is of no kind that scheme {spec.scheme} knows: {entry.secret}")
    if len({type(proof) for proof in proofs}) > 1 and len({_kind(secret) for secret in spec.secrets}) > 1:
        raise SchemeFault(
            "secrets", "mixes a token with a signing secret: a stranger could choose the weaker; name one kind"
        )
    return Scheme(
        spec.scheme,
        entry,
        proofs,
        options=options,
        key=spec.secrets[0].reveal().encode() if spec.secrets else b"",
        hashed=entry.category != "generic" and entry.event.hash,
        lists=frozenset(spec.options.get("xml_lists", ())),
        cut=spec.options.get("cut", ()),
        cloudevents=bool(spec.options.get("cloudevents", entry.cloudevents)),
        replay=spec.options.get("replay", entry.replay),
    )


def options(scheme: str) -> frozenset[str]:
    """The configuration keys of a scheme's own. Raises SchemeFault when there is no such scheme."""
    if scheme not in names():
        close = difflib.get_close_matches(scheme, names(), 1)
        hint = f"did you mean {close[0]}?" if close else "`relay sources` lists them"
        raise SchemeFault("scheme", f"there is no scheme {scheme!r}; {hint}")
    entry = vendor(scheme)
    if entry.picks:
        return frozenset({"versions"}).union(*(options(one) for one in entry.picks))
    timed = scheme == "hmac" or any(isinstance(form, Jwt) or getattr(form, "timestamp", None) for form in entry.proof)
    return frozenset(entry.options) | (frozenset({"tolerance"}) if timed else frozenset())


def _require_known(spec: SchemeSpec) -> None:
    known = options(spec.scheme)
    for key in spec.options:
        if key not in known | SHARED:
            takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none of its own"
            raise SchemeFault(key, f"is not a key of scheme {spec.scheme}; {takes}")


def _require_secrets(spec: SchemeSpec, entry: Vendor) -> None:
    if entry.secret is None:
        if spec.secrets:
            raise SchemeFault("secret", f"is not a key of scheme {spec.scheme}, which has none: take it out")
        return
    if not spec.secrets and entry.secret_required and not entry.learns:
        raise SchemeFault("secret", f"is missing: scheme {spec.scheme} needs {entry.secret}")
    if any(not secret.reveal().strip() for secret in spec.secrets):
        raise SchemeFault("secret", "is empty: anybody could sign with it; set the secret that the sender uses")


def _require_options(spec: SchemeSpec, entry: Vendor) -> None:
    for key, option in entry.options.items():
        if option.required and not spec.options.get(key):
            raise SchemeFault(key, f"is missing: {option.says}")


def _choice(spec: SchemeSpec, entry: Vendor, *, lenient: bool) -> Scheme:
    wanted = spec.options.get("versions") or entry.accepts
    for version in wanted:
        if version not in entry.picks:
            raise SchemeFault("versions", f"{version!r} is none of {', '.join(entry.picks)}")
    chosen = [version for version in entry.picks if version in wanted]
    rest = {key: value for key, value in spec.options.items() if key != "versions"}
    for key in rest:
        if not any(key in options(version) | SHARED for version in chosen):
            raise SchemeFault(key, f"belongs to none of the versions that are taken: {', '.join(chosen)}")
    made = [build(replace(spec, scheme=version, options=_part(rest, version)), lenient=lenient) for version in chosen]
    return Choice(spec.scheme, entry, made)


def _part(given: Mapping[str, Any], scheme: str) -> dict[str, Any]:
    known = options(scheme) | SHARED
    return {key: value for key, value in given.items() if key in known}


def _proof(
    form: Signature | Token | Login | Jwt | Nothing,
    spec: SchemeSpec,
    entry: Vendor,
    told: Mapping[str, str],
    trust: Trust | None,
) -> list[Proof]:
    """The proof of one entry, or none where no secret is of its kind."""
    if not spec.secrets and entry.secret and not entry.secret_required and not entry.learns:
        return [Open()]
    secrets = [secret for secret in spec.secrets if _fits(secret, getattr(form, "secrets", None))]
    if not secrets and entry.secret and not entry.learns:
        return []
    match form:
        case Signature():
            live_keys = tuple(keys.read(secret.reveal(), form.key, form.algorithm, form.encoding) for secret in secrets)
            mine = trust if form.certificate else None
            tolerance = _tolerance(spec.options, form.tolerance)
            return [Signed(form, live_keys, tolerance, told, mine, covers(form, entry.event))]
        case Token():
            return [_token(form, secrets, spec.options)]
        case Login():
            return [_login(form, secrets, spec.options)]
        case Jwt():
            live = tuple(_jwt_key(form, secret.reveal()) for secret in secrets)
            return [JwtProof(form, live, _tolerance(spec.options, 0), told, covers(form, entry.event))]
        case Nothing():
            words = tuple(secret.reveal().encode() for secret in secrets)
            return [InUrl(_text(spec.options, "query", form.query), words) if words else Open()]


def _jwt_key(form: Jwt, secret: str) -> str:
    """A shared secret as it is, a public key in PEM."""
    return keys.pem(secret, "rsa-sha256") if form.algorithm == "RS256" else secret


def _trust(forms: tuple[Any, ...], given: Mapping[str, Any]) -> Trust | None:
    found = next((form.certificate for form in forms if getattr(form, "certificate", None)), None)
    if found is None:
        return None
    if (pinned := given.get("cert_pem")) is not None:
        _require_certificate(pinned)
    return Trust(found, pinned)


def _require_certificate(pem: str) -> None:
    try:
        keys.of_certificate(pem.encode(), "rsa-sha256", "base64")
    except ValueError:
        raise SchemeFault("cert_pem", "is not a PEM certificate of an RSA key: give the sender's own") from None


def _described(spec: SchemeSpec) -> Signature:
    """The operator's own HMAC."""
    given = spec.options
    form = Signature(
        header=_header(given, "header", ""),
        content=_text(given, "content", "{{ body }}"),
        algorithm=f"hmac-{_choose(given, 'algorithm', 'sha256', ALGORITHMS)}",  # type: ignore[arg-type] # one of three
        encoding=_choose(given, "encoding", "hex", tuple(keys.ENCODE)),  # type: ignore[arg-type] # one of two
        key=_choose(given, "key", "text", KEYS),  # type: ignore[arg-type] # one of three
        prefix=_text(given, "prefix", ""),
        separator=_text(given, "separator", "") or None,
        timestamp=Time(header=_header(given, "timestamp_header", "")) if "timestamp_header" in given else None,
    )
    _require_sound(form, given)
    return form


def _require_sound(form: Signature, given: Mapping[str, Any]) -> None:
    try:
        phrase.compose(form.content)
    except ValueError as error:
        raise SchemeFault("content", str(error)) from None
    used = {name.split("|")[0].strip() for name in phrase.names(form.content)}
    if "body" not in used:
        raise SchemeFault("content", "leaves out {{ body }}: anybody who saw one request could change what it says")
    if "timestamp" in used and form.timestamp is None:
        raise SchemeFault("timestamp_header", "is missing: `content` has {{ timestamp }}, so name the header it is in")
    header = (form.timestamp.header or "").lower() if form.timestamp else ""
    if form.timestamp and "timestamp" not in used and header not in phrase.named_headers(form.content):
        raise SchemeFault("content", "leaves out {{ timestamp }}: a time that is not signed proves nothing")
    if "tolerance" in given and form.timestamp is None:
        raise SchemeFault("tolerance", "needs `timestamp_header`: without a time of signing nothing is too old")


def _token(form: Token, secrets: list[Secret], given: Mapping[str, Any]) -> Proof:
    words = tuple(secret.reveal().encode() for secret in secrets)
    if form.at:
        return InBody(form.at, words)
    if form.query:
        return InUrl(form.query, words)
    _require_sendable(secrets)
    header = _header(given, "header", form.header or "Authorization")
    return Shown(header, form.lead, words, bare=not form.lead, challenge=_challenge(header, form.lead))


def _login(form: Login, secrets: list[Secret], given: Mapping[str, Any]) -> Proof:
    username = given.get("username")
    colons = all(":" in secret.reveal() for secret in secrets)
    if form.only == "basic" or (form.only == "any" and "header" not in given and (username is not None or colons)):
        words = tuple(_credentials(username, secret) for secret in secrets)
        return Shown("Authorization", "Basic", words, bare=False, challenge='Basic realm="relay", charset="UTF-8"')
    header = _header(given, "header", "Authorization")
    _require_sendable(secrets)
    words = tuple(secret.reveal().encode() for secret in secrets)
    usual = header.lower() == "authorization"
    return Shown(header, "Bearer", words, bare=not usual, challenge=_challenge(header, "Bearer"))


def _challenge(header: str, lead: str) -> str | None:
    return f'{lead} realm="relay"' if header.lower() == "authorization" and lead else None


def _require_sendable(secrets: list[Secret]) -> None:
    if any(_CONTROL.search(secret.reveal()) or secret.reveal() != secret.reveal().strip() for secret in secrets):
        raise SchemeFault("secret", "has white space around it or control characters, which no header can carry")


def _credentials(username: Any, secret: Secret) -> bytes:
    if username is not None:
        user = _text({"username": username}, "username", "")
        if ":" in user or not user:
            raise SchemeFault("username", "must not be empty or hold a colon (RFC 7617)")
        return pair(user, secret.reveal())
    user, colon, password = secret.reveal().partition(":")
    if not (user and colon and password):
        raise SchemeFault("secret", "must be user:password, or the password alone beside the key `username`")
    return pair(user, password)


def _fits(secret: Secret, wanted: str | None) -> bool:
    if wanted is None:
        return True
    return secret.reveal().startswith(wanted.removeprefix("!")) is not wanted.startswith("!")


def _kind(secret: Secret) -> str:
    return secret.reveal().partition("_")[0] if secret.reveal().startswith(("whsec_", "whpk_")) else ""


def _option(value: Any) -> str:
    return (
        value.reveal()
        if isinstance(value, Secret)
        else "\n".join(value)
        if isinstance(value, tuple | list)
        else str(value)
    )


def _tolerance(given: Mapping[str, Any], usual: int) -> int:
    value = given.get("tolerance", usual)
    try:
        value = units.duration(value) if isinstance(value, str) else value
    except ValueError as error:
        raise SchemeFault("tolerance", str(error)) from None
    if "tolerance" in given and (not isinstance(value, int) or isinstance(value, bool) or value <= 0):
        raise SchemeFault("tolerance", "must be a duration above zero, as 5m")
    return int(value)


def _header(given: Mapping[str, Any], key: str, otherwise: str) -> str:
    value = _text(given, key, otherwise)
    if not _HEADER.fullmatch(value):
        raise SchemeFault(key, f"{value!r} is not the name of a header; write one as X-Signature")
    return value


def _text(given: Mapping[str, Any], key: str, otherwise: str) -> str:
    value = given.get(key, otherwise)
    if not isinstance(value, str):
        raise SchemeFault(key, "must be text")
    return value


def _choose(given: Mapping[str, Any], key: str, otherwise: str, known: tuple[str, ...]) -> str:
    value = _text(given, key, otherwise)
    if value not in known:
        raise SchemeFault(key, f"{value!r} is none of {', '.join(known)}")
    return value
