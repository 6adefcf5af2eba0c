"""A version of a rule: its text and its hash, kept once for all dispatches that it decided."""

from collections.abc import Iterable
from hashlib import blake2b

from relay.model.frozen import frozen


@frozen
class RuleVersion:
    """A rule as it was when it decided a dispatch.

    `hash` is 16 hex digits of the BLAKE2b digest of `text`. `text` is JSON: the keys of the rule that differ from their
    defaults, and under `vars` the constants that it names.
    """

    hash: str
    rule: str
    text: str


def set_hash(versions: Iterable[RuleVersion]) -> str | None:
    """The hash of the versions that are in force together, in their order; None for none."""
    hashes = "".join(version.hash for version in versions)
    return blake2b(hashes.encode(), digest_size=8).hexdigest() if hashes else None
