"""Encrypts bodies and secrets at rest with AES-256-GCM and the operator's key. Without a key they are stored plain.

A sealed value describes itself, so that plain rows and rows sealed by present and former keys can be mixed. Its format
is `sealed1:`, eight hex digits of the key's SHA-256, `:`, twelve random bytes (the nonce), then the ciphertext with its
tag. In text columns the nonce and the ciphertext are base64. A plain value that begins with `sealed1:` is stored with
the prefix `sealed1::`, so that input from outside is never taken for a sealed value.

A value's place (table, column, id of the row) is authenticated with it, so that it cannot be moved to another place.
Random nonces are safe for four billion values (2**32) under one key (NIST SP 800-38D, 8.3).
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import ColumnElement, Connection, func, literal

from relay.errors import Conflict
from relay.secret import Secret, key_bytes
from relay.telemetry import get_log

log = get_log()

MARK: Final = "sealed1:"
_MARK: Final = MARK.encode()
_PLAIN: Final = MARK + ":"
_HEAD: Final = len(MARK) + 9
"""Characters before the nonce: the mark, the key's id, a colon."""
_NONCE: Final = 12
"""Bytes."""


class Locked(Conflict):
    """A value is encrypted with a key that is not configured, or was changed after it was sealed.

    `why` is the reason without the place of the value.
    """

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


@cache
def _complain(key_id: str) -> None:
    """Log a missing key, once per key: many rows may need it."""
    what = "rows encrypted with it cannot be read: add it to encrypt.old"
    log.error("ledger.key_missing", key=key_id, what=what)


class Vault:
    """Seals values with `key` and opens values sealed with `key` or one of `old`. Without `key` it seals nothing.

    `head` is the prefix of the values that it seals. Raises ValueError for a malformed key.
    """

    def __init__(self, key: Secret | None = None, old: Sequence[Secret] = ()) -> None:
        self._keys: dict[str, AESGCM] = {}
        for secret in (*old, *([key] if key else [])):
            raw = key_bytes(secret.reveal())
            self._keys[id_of(raw)] = AESGCM(raw)
        self.key_id = id_of(key_bytes(key.reveal())) if key else None
        self._cipher = self._keys[self.key_id] if self.key_id else None
        self.head = f"{MARK}{self.key_id}:" if self.key_id else _PLAIN

    def __bool__(self) -> bool:
        """Whether it has any key, so that values are, or may have been, sealed."""
        return bool(self._keys)

    def seal(self, raw: bytes, place: str, row: str) -> bytes:
        """The bytes to store. `place` is the table and column (`events.raw`), `row` the id of the row."""
        if self._cipher is None:
            return _PLAIN.encode() + raw if raw.startswith(_MARK) else raw
        return self.head.encode() + self._seal(self._cipher, raw, place, row)

    def seal_text(self, text: str, place: str, row: str) -> str:
        """The text to store, as `seal`."""
        if self._cipher is None:
            return _PLAIN + text if text.startswith(MARK) else text
        sealed = self._seal(self._cipher, text.encode("utf-8", "surrogatepass"), place, row)
        return self.head + b64encode(sealed).decode()

    def open(self, kept: bytes, place: str, row: str) -> bytes:
        """The plain bytes of a stored value. Raises Locked."""
        if not kept.startswith(_MARK):
            return kept
        key_id = kept[len(_MARK) : _HEAD - 1].decode("ascii", "replace")
        if key_id.startswith(":"):
            return kept[len(_PLAIN) :]
        return self._open(key_id, kept[_HEAD:], place, row)

    def open_text(self, kept: str, place: str, row: str) -> str:
        """The plain text of a stored value. Raises Locked."""
        if not kept.startswith(MARK):
            return kept
        if kept.startswith(_PLAIN):
            return kept[len(_PLAIN) :]
        sealed = b64decode(kept[_HEAD:])
        return self._open(kept[len(MARK) : _HEAD - 1], sealed, place, row).decode("utf-8", "surrogatepass")

    def renew(self, kept: Any, place: str, row: str) -> Any:
        """A stored value of bytes or text, sealed again with the present key if it is not current. Raises Locked."""
        if kept is None or self.is_current(kept):
            return kept
        if isinstance(kept, str):
            return self.seal_text(self.open_text(kept, place, row), place, row)
        return self.seal(self.open(bytes(kept), place, row), place, row)

    def is_current(self, kept: str | bytes) -> bool:
        """Whether a stored value is sealed with the present key; without a key, whether it is plain."""
        head = kept[:_HEAD]
        start = head.decode("latin-1") if isinstance(head, bytes) else head
        if self._cipher is None:
            return not start.startswith(MARK) or start.startswith(_PLAIN)
        return start == self.head

    def _seal(self, cipher: AESGCM, raw: bytes, place: str, row: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + cipher.encrypt(nonce, raw, f"{place}:{row}".encode())

    def _open(self, key_id: str, sealed: bytes, place: str, row: str) -> bytes:
        cipher = self._keys.get(key_id)
        if cipher is None:
            _complain(key_id)
            raise Locked(
                f"{place} of {row} is encrypted with key {key_id}, which is not here: add it to encrypt.old",
                f"key {key_id} is not here",
            )
        try:
            return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], f"{place}:{row}".encode())
        except (InvalidTag, ValueError):
            raise Locked(
                f"{place} of {row} was changed after key {key_id} had encrypted it: restore it from a backup",
                f"changed after key {key_id} had encrypted it",
            ) from None


OPEN: Final = Vault()
"""Seals nothing and has no keys."""


def id_of(key: bytes) -> str:
    """The public id of a key: eight hex digits of its SHA-256."""
    return sha256(key).hexdigest()[:8]


def vault_of(conn: Connection) -> Vault:
    """The vault of the store that a connection belongs to."""
    vault: Vault = conn.get_execution_options().get("vault", OPEN)
    return vault


def is_plain(column: ColumnElement[bytes]) -> ColumnElement[bool]:
    """Whether a column of bytes holds a plain value. A search needs this: a short text may occur in ciphertext."""
    return func.substr(column, 1, len(_MARK)) != literal(_MARK)
