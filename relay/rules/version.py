"""The version of a rule: what it says, and the constants that it names."""

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from relay.model import RuleVersion

_NAMED: Final = re.compile(r"\bvars\b(?:\.(\w+))?")


def make_version(rule: Mapping[str, Any], vars: Mapping[str, Any]) -> RuleVersion:  # noqa: A002 - the configuration's
    """The version of a rule, from its keys as JSON values and from all constants of the configuration.

    Another value of a constant that the rule names is another version, because it makes other chats.
    """
    text = json.dumps(rule, ensure_ascii=False, separators=(",", ":"))
    if used := _used(text, vars):
        text = json.dumps({**rule, "vars": used}, ensure_ascii=False, separators=(",", ":"))
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return RuleVersion(digest, rule["name"], text)


def _used(text: str, vars: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002 - as above
    """The constants that a rule names; all of them where it uses `vars` as a whole or by a computed name."""
    names = set(_NAMED.findall(text)) if vars else set()
    return dict(vars) if "" in names else {name: value for name, value in vars.items() if name in names}
