"""The version of a rule: what it says, and the constants that it names."""

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from relay.model import RuleVersion

_NAMED: Final = re.compile(r"vars(?<!\wvars)\b(?:\.(\w+))?")
"""`\bvars\b`, written so that it begins with letters: those are looked for ten times as fast."""


def rule_text(rule: Mapping[str, Any]) -> str:
    """The keys of a rule as JSON, given as JSON values."""
    return _json(rule)


def make_version(rule: str, text: str, vars: Mapping[str, Any]) -> RuleVersion:  # noqa: A002 - the configuration's
    """The version of a rule, from its name, its `rule_text` and all constants of the configuration.

    Another value of a constant that the rule names is another version, because it makes other chats.
    """
    if used := _used(text, vars):
        text = f'{text[:-1]},"vars":{_json(used)}}}'
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return RuleVersion(digest, rule, text)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _used(text: str, vars: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002 - as above
    """The constants that a rule names; all of them where it uses `vars` as a whole or by a computed name."""
    names = set(_NAMED.findall(text)) if vars else set()
    return dict(vars) if "" in names else {name: value for name, value in vars.items() if name in names}
