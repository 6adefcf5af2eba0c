"""The vendors' entries: each is sound by itself, whatever it says of its vendor."""

import re
from importlib import resources

import pytest
import yaml

from relay.config.source import WebhookSource
from relay.schemes import names, phrase, vendor
from relay.schemes.build import SHARED
from relay.schemes.entry import Jwt, Nothing, Signature, Token, Vendor
from relay.schemes.filters import FILTERS
from relay.units import duration

NAMES = sorted(names())
FOLDER = resources.files("relay.schemes") / "vendors"
OWN = {
    "algorithm", "batch", "cert_pem", "content", "encoding", "field", "header", "key", "organization_id", "origins",
    "prefix", "query", "separator", "timestamp_header", "topics", "username", "verify_token", "webhook_id",
}  # fmt: skip
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def source(name):
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def composed(name):
    """The phrases of an entry whose every part must be there: what is signed."""
    return [form.content for form in vendor(name).proof if isinstance(form, Signature)]


def placed(name):
    """The phrases of an entry that may find nothing."""
    entry = vendor(name)
    for form in entry.proof:
        match form:
            case Signature():
                yield from filter(None, [form.at, form.timestamp and form.timestamp.at])
                yield from [*form.only, *form.equal, *form.equal.values()]
                yield from [form.certificate.url] if form.certificate else []
            case Jwt():
                yield from form.claims.values()
    yield from (
        *(one.at for one in entry.event.id),
        *(text for one in entry.event.id for text in one.when),
        *entry.event.type,
        *entry.event.subject,
        *entry.event.time,
    )
    yield from (*entry.equal, *entry.equal.values())
    answers = [handshake.answer for handshake in entry.handshakes] + ([entry.answer] if entry.answer else [])
    for answer in answers:
        yield from (*([answer.text] if answer.text else []), *answer.headers.values())
        yield from (value for value in (answer.json_ or {}).values() if isinstance(value, str) and "{{" in value)
    for handshake in entry.handshakes:
        yield from (*handshake.when, *handshake.equal, *handshake.equal.values())
        yield from filter(None, [handshake.learn, handshake.confirm])


def headers_of(name):
    """The names of headers in an entry."""
    entry = vendor(name)
    for form in entry.proof:
        yield from filter(None, [getattr(form, "header", None)])
        yield from filter(None, [form.timestamp.header] if getattr(form, "timestamp", None) else [])
    yield from (*entry.hide, *entry.mark)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_has_the_form_and_a_name_that_fits_its_file(name):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    like = source(name).get("like")
    Vendor.model_validate((source(like) if like else {}) | {k: v for k, v in source(name).items() if k != "like"})
    assert like is None or (like in names() and "like" not in source(like))
    assert vendor(name).name
    assert bool(vendor(name).proof) is not (bool(vendor(name).picks) or name == "hmac")


@pytest.mark.parametrize("name", NAMES)
def test_every_phrase_of_an_entry_compiles(name):
    for text in composed(name):
        assert phrase.names(text)
        phrase.compose(text)
    for text in placed(name):
        phrase.place(text)


@pytest.mark.parametrize("name", NAMES)
def test_every_path_of_an_entry_is_one(name):
    entry = vendor(name)
    paths = [*entry.cut, *entry.event.without, *(path for path in entry.event.each if path != "data")]
    paths += [form.each for form in entry.proof if isinstance(form, Signature) and form.each]
    paths += [form.at for form in entry.proof if isinstance(form, Token) and form.at]
    assert all(phrase.path_of(path) for path in paths)
    assert all("." not in key and not key.startswith("data") for key in (*entry.event.carry, *entry.unfold))


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_names_its_sources_and_how_to_set_it_up(name):
    entry = vendor(name)
    assert entry.facts[0].startswith("https://")
    assert entry.setup
    assert entry.picks or any("{url}" in step for step in entry.setup)
    assert not any(word in "\n".join(entry.setup) for word in ("{source}", "{name}", "TODO"))


@pytest.mark.parametrize("name", NAMES)
def test_the_keys_that_an_entry_takes_are_keys_of_a_source(name):
    keys = set(vendor(name).options)
    assert keys <= OWN
    assert keys <= set(WebhookSource.model_fields)
    assert not keys & SHARED
    used = {part.split(".")[1].split("|")[0].strip() for text in [*composed(name), *placed(name)] for part in
            phrase.names(text) if part.startswith("options.")}  # fmt: skip
    assert used <= keys


def test_every_key_of_a_source_belongs_to_some_scheme():
    known = {key for name in NAMES for key in vendor(name).options} | SHARED
    own = {"type", "scheme", "secret", "secrets", "event", "keep_rejected", "versions", "tolerance"}
    own |= {
        "limit",
        "allow",
        "client_cert",
        "max_body",
        "max_in_flight",
        "retain",
        "expect",
        "hide",
    }  # what is borne of it
    assert set(WebhookSource.model_fields) - own - known == set()


@pytest.mark.parametrize("name", [name for name in NAMES if vendor(name).picks])
def test_a_bare_name_accepts_only_what_is_strongest_or_says_why(name):
    entry = vendor(name)
    assert set(entry.accepts) <= set(entry.picks) <= names()
    assert entry.accepts[0] == entry.picks[0]
    assert not any(vendor(one).picks for one in entry.picks)
    assert entry.accepts == entry.picks[:1] or entry.notes


@pytest.mark.parametrize("name", [name for name in NAMES if len({form.by for form in vendor(name).proof}) > 1])
def test_proofs_of_unlike_strength_are_for_unlike_secrets(name):
    """Else a stranger who sees a token shown as it is could sign with it, or choose the weaker proof."""
    assert all(form.secrets for form in vendor(name).proof)


@pytest.mark.parametrize("name", NAMES)
def test_a_proof_stands_in_one_place(name):
    for form in vendor(name).proof:
        if isinstance(form, Signature):
            assert bool(form.header) is not bool(form.at)
            assert not form.timestamp or form.timestamp.at or form.timestamp.header or form.separator
            assert not form.numbered or form.separator is None
            assert not form.each or (form.at and not form.timestamp)
        if isinstance(form, Token):
            assert [form.header, form.query, form.at].count(None) == 2 or form.option


@pytest.mark.parametrize("name", NAMES)
def test_a_time_that_is_judged_is_signed(name):
    """A time beside the signature proves nothing."""
    for form in vendor(name).proof:
        time = getattr(form, "timestamp", None)
        if time is None:
            continue
        said = phrase.names(form.content)
        listed = (time.header or "").lower() in phrase.named_headers(form.content) or "headers_named" in form.content
        in_body = time.at and ("body" in said or time.at.strip("{} ") in said or "pairs" in form.content)
        assert "timestamp" in said or listed or in_body


@pytest.mark.parametrize("name", NAMES)
def test_names_of_headers_are_such(name):
    assert all(TOKEN.fullmatch(header) for header in headers_of(name))
    assert set(vendor(name).mark.values()) <= {"id", "type"}


CERTIFICATES = [
    (name, form.certificate) for name in NAMES for form in vendor(name).proof if hasattr(form, "certificate")
]
HOSTS = {(name, one.host) for name, one in CERTIFICATES if one}
HOSTS |= {(name, one.host) for name in NAMES for one in vendor(name).handshakes if one.confirm}


@pytest.mark.parametrize(("name", "host"), sorted(HOSTS))
def test_the_hosts_from_which_is_fetched_are_the_vendors(name, host):
    """Every dot in a pattern is a dot, and nothing is open at either end."""
    assert not re.search(r"(?<!\\)\.(?![*+])", host)
    assert "*" not in host.replace(r"\*", "")
    assert "|" not in re.sub(r"\([^)]*\)", "", host)
    for stranger in (
        "example.com",
        "",
        "amazonaws.com",
        "sns.amazonaws.com.example.com",
        "paypal.com.example.com",
        "a@b",
    ):
        assert not re.fullmatch(host, stranger)


@pytest.mark.parametrize("name", NAMES)
def test_a_handshake_that_is_not_signed_gives_nothing_away(name):
    """Not the secret, and no HMAC of what a stranger sends."""
    keyed = {part for part in FILTERS if part.startswith("hmac")}
    for handshake in vendor(name).handshakes:
        answer = handshake.answer
        texts = [answer.text or "", *answer.headers.values(), *map(str, (answer.json_ or {}).values())]
        used = {part.strip() for text in texts for one in phrase.names(text) for part in one.split("|")[1:]}
        assert handshake.proof or not used & keyed
        assert not any("options." in text for text in texts)
        assert not (handshake.learn and handshake.proof)
        assert not (handshake.confirm and not handshake.proof)
        assert answer.type.partition(";")[0] in {"application/json", "text/plain", "text/xml"}


@pytest.mark.parametrize("name", NAMES)
def test_only_what_is_learnt_may_be_missing_at_first(name):
    entry = vendor(name)
    assert entry.learns is any(handshake.learn for handshake in entry.handshakes)
    assert entry.unwrap is None or entry.unwrap in entry.unfold
    assert entry.secret_required or any(isinstance(form, Nothing) for form in entry.proof) or entry.notes
    assert (
        entry.secret or entry.picks or any(getattr(form, "certificate", None) for form in entry.proof) or name == "none"
    )


@pytest.mark.parametrize(("name", "within"), [("salesforce-callout", "1h"), ("segment", "4h"), ("clickup", "1h")])
def test_a_hash_stands_in_for_an_id_as_long_as_that_vendor_tries_again(name, within):
    """Their bodies may say the same of two events: a class or mapping of your own, a space renamed twice."""
    assert vendor(name).delivery.within == duration(within)
