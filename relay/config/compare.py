"""What two configurations differ in, key by key; secrets are compared by keyed hashes and never shown."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Any, Final, Literal

from pydantic import BaseModel

from relay.config.settings import Settings
from relay.secret import Secret
from relay.written.kinds import Unset

Kind = Literal["added", "removed", "changed"]

_TOKEN: Final = "cargo.token"  # noqa: S105 - the name of a key
_ORDER: Final = "rules"


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose values differ. `old` and `new` are JSON values, None where there is none or it is a secret."""

    key: str
    change: Kind
    old: Any = None
    new: Any = None


@dataclass(frozen=True, slots=True)
class Change:
    """A source, a rule or another key that differs: what a reload says."""

    key: str
    change: Kind


def describe(settings: Settings) -> dict[str, Any]:
    """A configuration as the API shows it: `settings` without secrets, and `secrets`, a hash of each by its key.

    The hashes are keyed with Cargo's token, which nobody can guess: without it, a weak secret cannot be guessed from
    its hash either.
    """
    return _describe(settings, settings.cargo.token)


def find_changes(old: Settings, new: Settings) -> tuple[Change, ...]:
    """What differs between two configurations whose secrets are known, one change for each source, rule or key."""
    before, after = (_describe(settings, old.cargo.token) for settings in (old, new))
    differences, _ = _compare(before, after, _Secrets(before["secrets"], after["secrets"], same_key=True), ())
    return summarize(differences)


def compare(
    old: Mapping[str, Any], new: Mapping[str, Any], unset: Collection[str] = ()
) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    """The differences between two configurations of `describe`, and the keys that could not be compared.

    `unset` are the keys of which `new` does not know the values. With another token of Cargo no other secret can be
    compared, because the hashes are keyed with it.
    """
    known, given = old["secrets"], new["secrets"]
    same_key = _TOKEN in known and known[_TOKEN] == given.get(_TOKEN)
    return _compare(old, new, _Secrets(known, given, same_key=same_key), unset)


def _compare(
    old: Mapping[str, Any], new: Mapping[str, Any], secrets: "_Secrets", unset: Collection[str]
) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    before, after = _flat(old["settings"]), _flat(new["settings"])
    differences: list[Difference] = []
    skipped: set[str] = set()
    for key in [*after, *(key for key in before if key not in after)]:
        if any(other == key or other.startswith((f"{key}.", f"{key}[")) for other in unset):
            skipped.add(key)
            continue
        known, given = before.get(key), after.get(key)
        verdict = secrets.judge(key)
        if key in before and key in after and known == given and verdict == "same":
            continue
        if verdict == "unknown" and known == given:
            skipped.add(key)
            continue
        change: Kind = "added" if key not in before else "removed" if key not in after else "changed"
        hidden = verdict == "changed" and known == given
        differences.append(Difference(key, change) if hidden else Difference(key, change, known, given))
    return (*differences, *_reordered(old["settings"], new["settings"])), tuple(sorted(skipped))


def summarize(differences: Sequence[Difference]) -> tuple[Change, ...]:
    """One change for each source and rule, one for each other key."""
    changes: dict[str, Kind] = {}
    for difference in differences:
        name = _owner(difference.key)
        # Its `type` and `name` are never without a rule or a source: they come and go with it.
        whole = difference.key in {f"{name}.type", f"{name}.name", name}
        if whole and difference.change != "changed":
            changes[name] = difference.change
        else:
            changes.setdefault(name, "changed" if name != difference.key else difference.change)
    return tuple(Change(key, change) for key, change in changes.items())


def _owner(key: str) -> str:
    if key.startswith("sources."):
        return ".".join(key.split(".")[:2])
    return key.partition("].")[0] + "]" if key.startswith("rules[") else key


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values by key, as `cargo.rate`, `sources.crm.scheme`, `rules[deal].chat`, without those that are null."""
    found: dict[str, Any] = {}
    for block, value in settings.items():
        if block == "rules":
            for rule in value:
                found |= {f"rules[{rule['name']}].{key}": item for key, item in rule.items() if item is not None}
        elif block == "sources":
            for name, source in value.items():
                found |= {f"sources.{name}.{key}": item for key, item in source.items() if item is not None}
        elif isinstance(value, Mapping):
            found |= {f"{block}.{key}": item for key, item in value.items() if item is not None}
    return found


def _reordered(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Rules are tried in order, so another order of the same rules is another configuration."""
    before, after = ([rule["name"] for rule in side["rules"]] for side in (old, new))
    both = set(before) & set(after)
    if [name for name in before if name in both] != [name for name in after if name in both]:
        yield Difference(_ORDER, "changed", before, after)


class _Secrets:
    """Judges the secrets at or below a key by their hashes."""

    def __init__(self, old: Mapping[str, str], new: Mapping[str, str], *, same_key: bool) -> None:
        self._old = old
        self._new = new
        self._same_key = same_key

    def judge(self, key: str) -> Literal["same", "changed", "unknown"]:
        """Whether the secrets of a key are the same, as far as that can be told."""
        before, after = self._of(self._old, key), self._of(self._new, key)
        if before.keys() != after.keys():
            return "changed"
        if before and not self._same_key and key != _TOKEN:
            return "unknown"
        return "same" if before == after else "changed"

    @staticmethod
    def _of(hashes: Mapping[str, str], key: str) -> dict[str, str]:
        return {name: value for name, value in hashes.items() if name == key or name.startswith((f"{key}.", f"{key}["))}


def _describe(settings: Settings, token: Secret) -> dict[str, Any]:
    return {"settings": settings.redacted(), "secrets": dict(_hashes(settings, token))}


def _hashes(settings: Settings, token: Secret) -> Iterator[tuple[str, str]]:
    key = sha256(token.reveal().encode()).digest()
    for name, secret in _secrets(settings, ""):
        if not isinstance(secret, Unset):
            data = secret.reveal().encode("utf-8", "surrogatepass")
            yield name, blake2b(data, key=key, digest_size=8).hexdigest()


def _secrets(value: Any, path: str) -> Iterator[tuple[str, Secret]]:
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, BaseModel):
        for key in type(value).model_fields:
            yield from _secrets(getattr(value, key), f"{path}.{key}" if path else key)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secrets(item, f"{path}.{key}")
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _secrets(item, f"{path}[{number}]")
