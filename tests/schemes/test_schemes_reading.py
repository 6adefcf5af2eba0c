"""From bytes to a tree, by what the content type and the content encoding say."""

import gzip
import zlib

import pytest

from relay.errors import Rejected
from relay.schemes.document import Unreadable
from relay.schemes.reading import Form, media, read

TREE = {"a": {"b": "ü"}}
JSON = '{"a": {"b": "ü"}}'.encode()
FORM = b"a[b]=%C3%BC"
XML = "<a><b>ü</b></a>".encode()
PARTS = '--e\r\nContent-Disposition: form-data; name="a[b]"\r\n\r\nü\r\n--e--\r\n'.encode()


def parse(body, content_type, encoding=None, most=1 << 20):
    return read(body, content_type, encoding, most=most, lists=frozenset())


@pytest.mark.parametrize(
    ("content_type", "form", "charset", "boundary"),
    [
        ("", Form.JSON, "utf-8", ""),
        ("text/plain", Form.JSON, "utf-8", ""),
        ("application/json", Form.JSON, "utf-8", ""),
        ("APPLICATION/JSON ; charset=UTF-8", Form.JSON, "UTF-8", ""),
        ('application/json;Charset="iso-8859-1"', Form.JSON, "iso-8859-1", ""),
        ("application/vnd.contentful.management.v1+json", Form.JSON, "utf-8", ""),
        ("text/json", Form.JSON, "utf-8", ""),
        ("application/x-ndjson", Form.LINES, "utf-8", ""),
        ("application/jsonl", Form.LINES, "utf-8", ""),
        ("application/cloudevents+json", Form.CLOUD, "utf-8", ""),
        ("application/cloudevents-batch+json; charset=utf-8", Form.CLOUDS, "utf-8", ""),
        ("application/x-www-form-urlencoded", Form.FIELDS, "utf-8", ""),
        ("multipart/form-data; boundary=e", Form.PARTS, "utf-8", "e"),
        ('multipart/form-data; boundary="e f;g"; charset=latin-1', Form.PARTS, "latin-1", "e f;g"),
        ("application/xml", Form.XML, "utf-8", ""),
        ("text/xml; charset=utf-8", Form.XML, "utf-8", ""),
        ("application/soap+xml; action=x", Form.XML, "utf-8", ""),
        ("application/atom+xml", Form.XML, "utf-8", ""),
        ("text/html", Form.FOREIGN, "utf-8", ""),
        ("application/octet-stream", Form.FOREIGN, "utf-8", ""),
        ("application/protobuf", Form.FOREIGN, "utf-8", ""),
        ("json", Form.FOREIGN, "utf-8", ""),
    ],
)
def test_a_content_type_says_how_a_body_is_read(content_type, form, charset, boundary):
    found = media(content_type)
    assert (found.form, found.charset, found.boundary) == (form, charset, boundary)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (JSON, "application/json"),
        (JSON, ""),
        (JSON.decode().encode("latin-1"), "application/json; charset=iso-8859-1"),
        (JSON.decode().encode("utf-16"), "application/json; charset=utf-16"),
        (b"\xef\xbb\xbf" + JSON, "application/json"),
        (FORM, "application/x-www-form-urlencoded"),
        (PARTS, "multipart/form-data; boundary=e"),
        (XML, "application/xml"),
        (XML.decode().encode("latin-1"), "text/xml; charset=latin-1"),
        (XML.decode().encode("utf-16"), "text/xml; charset=utf-16"),
    ],
)
def test_the_same_tree_comes_of_each_form(body, content_type):
    assert parse(body, content_type).data == TREE
    assert parse(gzip.compress(body, mtime=0), content_type, "gzip").data == TREE
    assert parse(gzip.compress(body, mtime=0), content_type, "gzip").raw == body


def test_lines_of_json_are_a_list():
    assert parse(b'{"a":1}\r\n\n{"a":2}\n', "application/x-ndjson").data == [{"a": 1}, {"a": 2}]
    assert parse(b"", "application/x-ndjson").data == []


@pytest.mark.parametrize(
    ("body", "content_type", "verbatim"),
    [
        (JSON, "application/json", True),
        (JSON, "application/json; charset=UTF-8", True),
        (b"\xef\xbb\xbf" + JSON, "application/json", False),
        (b'{"a": 1}', "application/json; charset=us-ascii", False),
        (b'{"a": "one\ntwo"}', "application/json", False),
        (b'{\n"a": "one"}', "application/json", True),
        (FORM, "application/x-www-form-urlencoded", False),
        (XML, "text/xml", False),
    ],
)
def test_verbatim_is_what_can_be_parsed_again_from_the_bytes_alone(body, content_type, verbatim):
    assert parse(body, content_type).verbatim is verbatim


@pytest.mark.parametrize(
    ("body", "content_type", "encoding", "reason"),
    [
        (XML, "application/json", None, "json"),
        (JSON, "text/xml", None, "xml"),
        (JSON, "multipart/form-data", None, "multipart"),
        (JSON, "multipart/form-data; boundary=e", None, "multipart"),
        (b"", "multipart/form-data; boundary=e", None, "multipart"),
        (b"\xff", "application/json", None, "json"),
        (b"\xff", "application/json; charset=utf-16", None, "charset"),
        (JSON, "application/json; charset=rot13", None, "charset"),
        (FORM, "application/x-www-form-urlencoded; charset=zip", None, "charset"),
        (JSON, "application/json", "gzip", "encoding"),
        (gzip.compress(JSON, mtime=0)[:-9], "application/json", "gzip", "encoding"),
        (b"{}\n{", "application/x-ndjson", None, "json"),
    ],
)
def test_what_is_not_what_it_says_is_unreadable_and_has_a_name(body, content_type, encoding, reason):
    with pytest.raises(Unreadable) as caught:
        parse(body, content_type, encoding)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("body", "content_type", "encoding", "status"),
    [
        (JSON, "text/html", None, 415),
        (JSON, "application/json", "br", 415),
        (JSON, "application/json", "gzip, gzip", 415),
        (gzip.compress(b" " * 5_000, mtime=0), "application/json", "gzip", 413),
        (zlib.compress(b" " * 5_000), "application/json", "deflate", 413),
    ],
)
def test_what_is_not_read_here_is_refused(body, content_type, encoding, status):
    with pytest.raises(Rejected) as caught:
        parse(body, content_type, encoding, most=4_096)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "encoding",
    ["UTF_8", "'utf-8'", "charset=utf-8", "utf-8;", "utf8mb4", "application/json; charset=utf-8", "windows-1251"],
)
def test_a_content_encoding_that_names_no_compression_is_none(encoding):
    assert parse(JSON, "application/json", encoding).data == TREE
    assert parse(gzip.compress(JSON), "application/json", encoding).data == TREE, "gzip tells by itself"


@pytest.mark.parametrize(
    ("body", "content_type", "data"),
    [
        ('{"a": "ж"}'.encode("windows-1251"), "application/json; charset=Windows-1251", {"a": "ж"}),
        ('{"a": "é"}'.encode(), "application/json; charset='UTF_8'", {"a": "é"}),
        (b'{"a": "x\x81y"}', "application/json; charset=windows-1252", {"a": "x\ufffdy"}),
        ('{"a": "x\ud83d"}'.encode("utf-16", "surrogatepass"), "application/json; charset=utf-16", {"a": "x\ufffd"}),
        (b"a=caf%E9", "application/x-www-form-urlencoded; charset=ISO-8859-1", {"a": "café"}),
        (b"a=caf%C3%A9", "application/x-www-form-urlencoded", {"a": "café"}),
    ],
)
def test_the_charset_is_read_as_senders_name_it_and_costs_only_the_characters_that_it_has_not(body, content_type, data):
    assert parse(body, content_type).data == data


@pytest.mark.parametrize("encoding", ["gzip", "X-GZIP", "deflate", " identity ", "", None])
def test_the_content_encodings_that_are_read(encoding):
    made = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}
    body = made.get((encoding or "").lower(), bytes)(JSON)
    assert parse(body, "application/json", encoding).data == TREE
