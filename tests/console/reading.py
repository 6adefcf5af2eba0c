"""Reads pages as a browser does."""

import re
from html.parser import HTMLParser

UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Characters that a person cannot see, or that change the order of others."""


class Reader(HTMLParser):
    """The tags of a page, each with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def csrf_in(text):
    """The CSRF token of a page."""
    return next(each["content"] for each in Reader(text).all("meta") if each.get("name") == "csrf")


def outside_fields(text):
    """A page without what its fields hold: that comes back as it is."""
    return re.sub(r'<textarea.*?</textarea>|value="[^"]*"', "", text, flags=re.DOTALL)
