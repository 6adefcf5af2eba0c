"""Checks the certificate files: they exist, can be read, belong together, and have an effect."""

from typing import Any, Final

from relay.config.draft import Draft
from relay.trust import FileFault, inspect_authorities, inspect_identity

_BLOCKS: Final = ("cargo", "broker")


def check_certificates(draft: Draft) -> None:
    """Add the faults of the files. Missing files are faults only in `serve`: `check` must work without them."""
    for name in _BLOCKS:
        block = draft.blocks.get(name)
        if block is not None:
            _check_block(draft, name, block)


def _check_block(draft: Draft, name: str, block: Any) -> None:
    for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(block, key) is not None and getattr(block, other) is None and draft.whole(name, other):
            draft.fault((name, key), f"needs {name}.{other} as well: set it (to the same file, if it contains both)")
    if name == "broker" and _is_known(draft, name, "url") and block.url.startswith("amqp://"):
        if block.cert_file is not None:
            draft.fault((name, "cert_file"), "has no effect with amqp://: write amqps:// into broker.url")
        return
    for fault in filter(None, (_look_at_authorities(draft, name, block), _look_at_identity(draft, name, block))):
        draft.fault((name, fault.key), fault.message, warn=fault.missing and not draft.strict)


def _look_at_authorities(draft: Draft, name: str, block: Any) -> FileFault | None:
    is_set = block.ca_file is not None and _is_known(draft, name, "ca_file")
    return inspect_authorities(block.ca_file) if is_set else None


def _look_at_identity(draft: Draft, name: str, block: Any) -> FileFault | None:
    are_known = _is_known(draft, name, "cert_file") and _is_known(draft, name, "key_file")
    if not are_known or block.cert_file is None or block.key_file is None:
        return None
    return inspect_identity(block.cert_file, block.key_file)


def _is_known(draft: Draft, name: str, key: str) -> bool:
    return draft.whole(name, key) and not draft.opaque(name, key)
