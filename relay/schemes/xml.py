"""XML to the same tree each time: local names, declared lists, no entities."""

import re
from typing import Any, Final
from xml.parsers.expat import ExpatError

import xmltodict

from relay import effort
from relay.depth import BODY
from relay.schemes.document import Unreadable, decode, mend_text, require_shallow, too_deep

_MOST: Final = 20_000
"""Elements; this many take 60 ms."""
_MOST_TAGS: Final = 3 * _MOST
_MOST_ATTRIBUTES: Final = 2 * _MOST
_ATTRIBUTE: Final = re.compile(r"=\s*[\"']")
"""Marks of tags and of attributes, which CDATA may have as well."""
_CHARACTER: Final = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REFERENCE: Final = re.compile(
    r"&#(?:0*(?:[0-8]|1[124-9]|2\d|3[01])|[xX]0*(?:[0-8bcefBCEF]|1[0-9a-fA-F])"
    r"|x[dD][89a-fA-F][0-9a-fA-F]{2}|5(?:529[6-9]|5[3-9]\d\d|[67]\d{3})|x[fF]{3}[eEfF]|6553[45]);"
)
"""What is no character of XML, as it is or by reference: most controls, halves of surrogate pairs, two at the end."""
_FEW_TAGS: Final = 800
_FEW_ATTRIBUTES: Final = 1_500
"""As many as are read on the event loop: they take 2 and 1 us each."""


def parse(raw: bytes, charset: str, lists: frozenset[str]) -> dict[str, Any]:
    """The tree of a document: elements by local name, attributes as `@name`, text beside either as `#text`.

    An element with neither children nor attributes is its text (null when empty); one in `lists`, or that comes
    several times, is a list. Namespaces and their prefixes are left out, so that a sender may choose others.
    Raises `Unreadable`: `xml` (also for more than 20,000 elements), `charset`, `depth`, `empty`. Document types and
    entities are refused. Raises `Heavy` (see `relay.effort`).
    """
    effort.require((len(raw), effort.SIZE))
    text = _REFERENCE.sub("\ufffd", _CHARACTER.sub("\ufffd", mend_text(decode(raw, charset))))
    if not text.strip():
        raise Unreadable("empty", "the body is empty; it must be XML")
    if "<!DOCTYPE" in text:
        raise Unreadable("xml", "the body has a document type, which is not read here: entities could come with it")
    tags, attributes = text.count("<"), text.count("=")
    effort.require((tags, _FEW_TAGS), (attributes, _FEW_ATTRIBUTES))
    if attributes > _MOST_ATTRIBUTES and len(_ATTRIBUTE.findall(text)) > _MOST_ATTRIBUTES:
        raise Unreadable("xml", f"the body has more than {_MOST_ATTRIBUTES} attributes")
    if tags > _MOST_TAGS or text.count("</") + text.count("/>") > _MOST:
        raise Unreadable("xml", f"the body has more than {_MOST} elements")
    try:
        found = xmltodict.parse(
            text.encode(),
            encoding="utf-8",
            disable_entities=True,
            force_list=_Locals(lists),
            postprocessor=_local,  # type: ignore[arg-type] # None leaves a key out, which its stub does not know
            process_namespaces=False,
        )
    except ExpatError as error:
        raise Unreadable("xml", f"the body is not XML: {error}") from None
    except Unreadable:
        raise
    except ValueError as error:
        raise Unreadable("xml", f"this XML is not read here: {error}") from None
    require_shallow(found)  # a list of elements is a level of its own
    return dict(found)


class _Locals(frozenset[str]):
    """Names without prefixes, in which those with one are found. (A function in its place costs the depth squared.)"""

    def __contains__(self, key: object) -> bool:
        return super().__contains__(_bare(str(key)))


def _local(path: list[Any], key: str, value: Any) -> tuple[str, Any] | None:
    """A key without its prefix; the declarations of namespaces are left out."""
    if len(path) > BODY:
        raise too_deep()
    if key == "@xmlns" or key.startswith("@xmlns:"):
        return None
    return _bare(key), value


def _bare(key: str) -> str:
    lead = "@" if key.startswith("@") else ""
    return lead + key.removeprefix("@").rpartition(":")[2]
