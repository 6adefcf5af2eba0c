"""XML to the same tree whatever the prefixes and however many items; nothing of a document type is obeyed."""

import pytest

from relay.schemes.document import Unreadable
from relay.schemes.xml import parse


def tree(text, *lists):
    return parse(text if isinstance(text, bytes) else text.encode(), "utf-8", frozenset(lists))


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("<a/>", {"a": None}),
        ("<a></a>", {"a": None}),
        ("<a> </a>", {"a": None}),
        ("<a>1</a>", {"a": "1"}),
        ("<a> 1\n</a>", {"a": "1"}),
        ("<a><![CDATA[<b>&]]></a>", {"a": "<b>&"}),
        ("<a>&lt;&amp;&#252;</a>", {"a": "<&ü"}),
        ("<a><!-- no --><?php no ?>1</a>", {"a": "1"}),
        ('<a b="1"/>', {"a": {"@b": "1"}}),
        ('<a b="1">2</a>', {"a": {"@b": "1", "#text": "2"}}),
        ("<a>1<b>2</b>3</a>", {"a": {"b": "2", "#text": "13"}}),
        ("<a><b>1</b></a>", {"a": {"b": "1"}}),
        ("<a><b>1</b><b>2</b></a>", {"a": {"b": ["1", "2"]}}),
        ("<a><b>1</b><c>2</c><b>3</b></a>", {"a": {"b": ["1", "3"], "c": "2"}}),
        ("<a><b/><b/></a>", {"a": {"b": [None, None]}}),
        ('\ufeff<?xml version="1.0" encoding="UTF-16"?><a>ü</a>', {"a": "ü"}),
    ],
)
def test_a_document_is_a_tree(text, data):
    assert tree(text) == data


@pytest.mark.parametrize("bad", ["\x0b", "&#11;", "&#x1F;", "&#0031;", "&#xFFFE;", "\uffff", "&#xD83D;", "\0"])
def test_what_is_no_character_of_xml_costs_only_itself(bad):
    assert tree(f"<a><b>x{bad}y</b><c>&#9;&#10;&#x20;|&#13;</c></a>") == {"a": {"b": "x\ufffdy", "c": "|"}}


@pytest.mark.parametrize(
    "text",
    [
        "<a><b c='1'>2</b></a>",
        "<a xmlns='urn:x'><b c='1'>2</b></a>",
        "<x:a xmlns:x='urn:x'><x:b c='1'>2</x:b></x:a>",
        "<x:a xmlns:x='urn:x'><y:b xmlns:y='urn:y' y:c='1'>2</y:b></x:a>",
        "<a><b xmlns='urn:y' c='1'>2</b></a>",
    ],
)
def test_prefixes_and_namespaces_change_nothing(text):
    assert tree(text) == {"a": {"b": {"@c": "1", "#text": "2"}}}


def test_the_same_element_under_two_prefixes_is_one_list():
    text = "<a xmlns:x='urn:x' xmlns:y='urn:y'><x:b>1</x:b><y:b>2</y:b></a>"
    assert tree(text) == {"a": {"b": ["1", "2"]}}


@pytest.mark.parametrize(
    ("items", "data"), [("<b/>", [None]), ("<x:b>1</x:b>", ["1"]), ("<b>1</b><b>2</b>", ["1", "2"])]
)
def test_a_declared_list_is_one_however_many_come(items, data):
    assert tree(f"<a xmlns:x='urn:x'>{items}</a>", "b") == {"a": {"b": data}}


BOMB = (
    "<!DOCTYPE a [<!ENTITY x 'xxxxxxxxxx'>"
    + "".join(f"<!ENTITY x{at} '&x{at - 1 or ''};&x{at - 1 or ''};'>" for at in range(1, 30))
    + "]><a>&x29;</a>"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("\ufeff", "empty"),
        ("a", "xml"),
        ("{}", "xml"),
        ("<a>", "xml"),
        ("<a></b>", "xml"),
        ("<a/><b/>", "xml"),
        ("<a b='1' b='2'/>", "xml"),
        ("<a>&x;</a>", "xml"),
        ("<!DOCTYPE a><a/>", "xml"),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "xml"),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "xml"),
        ("<!DOCTYPE a [<!ENTITY % x SYSTEM 'https://example.com/x'>%x;]><a/>", "xml"),
        (BOMB, "xml"),
        ("<a>" * 250 + "</a>" * 250, "depth"),
        ("<a>" * 20_000 + "</a>" * 20_000, "depth"),
        ("<a>" * 20_001 + "</a>" * 20_001, "xml"),
        ("<a>" + "<b/>" * 20_000 + "</a>", "xml"),
    ],
)
def test_what_is_no_document_or_could_harm_is_unreadable(text, reason):
    with pytest.raises(Unreadable) as caught:
        tree(text)
    assert caught.value.reason == reason


def test_two_hundred_levels_are_read():
    assert tree("<a>" * 200 + "</a>" * 200)


def test_as_many_elements_as_are_allowed_are_read():
    assert len(tree("<a>" + "<b/>" * 19_999 + "</a>")["a"]["b"]) == 19_999
