"""Personal data that does not leave for Cargo."""

import json
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stdnum import luhn
from stdnum.iso7064 import mod_97_10

from relay.model import Event
from relay.rules import RuleSpec, compile_rules
from relay.rules.redact import Tries
from relay.rules.redact import cover as cover_counted

ALL = ("email", "phone", "card", "iban")
AGENT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CONNECTOR = "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"


def cover(text, kinds):
    return cover_counted(text, kinds, Tries())


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("write to kim.o'neil+x@sub.acme.example, please", "write to [email], please"),
        ("<ü@bücher.example>", "<[email]>"),
        ("@kim and a@b", "@kim and a@b"),
        ("+33 6 12 34 56 78 or 06 12 34 56 78", "[phone] or [phone]"),
        ("tel:+49(0)30 1234567; 0033-612345678", "tel:[phone]; [phone]"),
        ("call (415) 555-2671 or 415-555-2671!", "call [phone] or [phone]!"),
        ("order 123456789, 2026-11-29 10:15", "order 123456789, 2026-11-29 10:15"),
        ("4242 4242 4242 4242 12/27", "[card] 12/27"),
        ("cvv 123 4111-1111-1111-1111", "cvv 123 [card]"),
        ("3782 822463 10005, 6304000000000000", "[card], [card]"),
        ("4242424242424241", "4242424242424241"),
        ("at 1795425300000", "at 1795425300000"),
        ("DE89 3704 0044 0532 0130 00 is mine", "[iban] is mine"),
        ("gb33bukb20201555555555.", "[iban]."),
        ("DE88370400440532013000", "DE88370400440532013000"),
        ("DE89 DE89 3704 0044 0532 0130 00", "DE89 [iban]"),
        ("4242424242424242@acme.example", "[email]"),
        ("", ""),
    ],
)
def test_what_is_found_and_what_is_not(text, covered):
    assert cover(text, ALL) == covered


def test_only_the_kinds_that_are_named_are_covered():
    text = "kim@acme.example 4242424242424242"
    assert cover(text, ("card",)) == "kim@acme.example [card]"
    assert cover(text, ("email",)) == "[email] 4242424242424242"


GAPS = [" ", "-", "\u00a0", "\u202f", "\u2009", "\u2007", "\u2011", "\u2013", "\u3000"]
"""Between groups of digits, as mails, pages and word processors write them."""


@pytest.mark.parametrize("gap", GAPS)
def test_numbers_are_found_whatever_stands_between_their_groups(gap):
    def grouped(text):
        return text.replace(" ", gap)

    assert cover(grouped("4111 1111 1111 1111"), ALL) == "[card]"
    assert cover(grouped("FR76 3000 6000 0112 3456 7890 189"), ALL) == "[iban]"
    for phone in ("06 12 34 56 78", "+33 6 12 34 56 78", "415 555 2671", "1 415 555 2671"):
        assert cover(grouped(phone), ALL) == "[phone]"
    if gap.isspace():
        assert cover(f"(415){gap}555{gap}2671", ALL) == "[phone]"


@given(st.text(string.digits, min_size=13, max_size=18), st.sampled_from([*GAPS, ""]))
def test_a_card_has_a_right_last_digit(digits, gap):
    whole = digits + luhn.calc_check_digit(digits)
    groups = gap.join(whole[at : at + 4] for at in range(0, len(whole), 4))
    assert cover(f"card {groups} end", ("card",)) == "card [card] end"
    wrong = digits + str((int(whole[-1]) + 1) % 10)
    assert cover(wrong, ("card",)) == wrong


@given(st.text(string.digits, min_size=18, max_size=18), st.sampled_from(GAPS))
def test_an_iban_has_right_check_digits(number, gap):
    check = mod_97_10.calc_check_digits(f"{number}DE")
    whole = f"DE{check}{number}"
    groups = gap.join(whole[at : at + 4] for at in range(0, len(whole), 4))
    assert cover(f"pay {groups} now", ("iban",)) == "pay [iban] now"
    wrong = f"DE{(int(check) + 1) % 100:02}{number}"
    assume(not mod_97_10.is_valid(wrong[4:] + wrong[:4]))
    assert cover(wrong, ("iban",)) == wrong


@given(st.text(st.sampled_from("+0123456789 -()@a.DE\n"), max_size=60))
def test_what_was_covered_holds_nothing_more_of_that_kind_that_stood_alone(text):
    for kind in ALL:
        assert cover(f"kim@acme.example\n{text}\n", (kind,)).count("kim@acme.example") == (kind != "email")


@pytest.mark.parametrize("text", ["DE89 " * 3_000, "4242 " * 30_000, "a@b.cc " * 30_000, "+33612345678 " * 30_000])
def test_a_text_with_too_many_candidates_is_refused(text):
    with pytest.raises(ValueError, match="send less of it"):
        cover(text, ALL)


def render(data, message="{{ data.note }}", redact=ALL, **meta):
    trigger = {"type": "connector", "connectorUuid": CONNECTOR, "meta": meta}
    chat = {"agentUuid": AGENT, "name": "From {{ data.mail }}", "trigger": trigger}
    rules = compile_rules([RuleSpec("r", chat=chat, message=message, keys={"redact": redact})], {})
    event = Event(id="e", source="s", external_id="x", type=None, data=data, raw=b"", digest=b"", received_at=0)
    [rendered] = rules.match(event).rendered
    return rendered


def test_name_meta_and_message_are_covered_and_the_ids_of_cargo_are_not():
    data = {"mail": "kim@acme.example", "card": 4242424242424242, "note": "Call +33612345678", "ok": [True, 5, None]}
    rendered = render(data, all="{{ data }}", by={"{{ x": "no"} and {"kim@acme.example": "key"}, type="a@b.example")
    body = json.loads(rendered.body)
    assert (body["agentUuid"], body["trigger"]["connectorUuid"], body["trigger"]["type"]) == (
        AGENT,
        CONNECTOR,
        "connector",
    )
    assert body["name"] == rendered.name == "From [email]"
    assert body["trigger"]["meta"] == {
        "all": {"mail": "[email]", "card": "[card]", "note": "Call [phone]", "ok": [True, 5, None]},
        "by": {"[email]": "key"},
        "type": "[email]",
    }
    assert rendered.message == "Call [phone]"
    assert data["mail"] == "kim@acme.example"


def test_what_cannot_be_looked_through_is_not_sent():
    rendered = render({"mail": "a", "note": "DE89 " * 3_000})
    assert (rendered.body, rendered.message, rendered.failure.code) == (None, None, "render")
    assert rendered.failure.message.startswith("rule r: redact: ")


@pytest.mark.parametrize("text", ["DE89 " * 500, "4242 " * 4_500, "a@b.cc " * 5_000, "+33612345678 " * 5_000])
def test_what_may_be_found_is_counted_over_the_whole_chat(text):
    assert render({"mail": "a"}, "{{ data.mail }}", all=text).failure is None
    parts = {f"part {number}": text for number in range(10)}
    assert "send less of it" in render({"mail": "a"}, "{{ data.mail }}", **parts).failure.message
    assert "send less of it" in render({"note": text * 3, "mail": "a"}, all=text * 2).failure.message


def test_many_short_numbers_are_no_cards_and_none_is_counted():
    text = "12 34 56, 2.5\n" * 5_000
    assert cover(text, ("card", "iban")) == text
