"""Why a signature may be refused, in words for the operator."""

from typing import Final

from relay.errors import Rejected
from relay.schemes.entry import Signature

_FORMS: Final = {
    (40, "hex"): "sha1 in hex",
    (64, "hex"): "sha256 in hex",
    (128, "hex"): "sha512 in hex",
    (28, "base64"): "sha1 in base64",
    (44, "base64"): "sha256 in base64",
    (88, "base64"): "sha512 in base64",
}
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_BASE64: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def refuse(message: str, reason: str, hint: str) -> Rejected:
    """A 401."""
    return Rejected(message, status=401, reason=reason, hint=hint)


def describe(form: Signature, came: bytes | None = None, length: int | None = None) -> str:
    """The signature that is expected, and what the one that `came` looks like."""
    wanted = f"{form.algorithm.removeprefix('hmac-')} in {form.encoding}"
    if came is None:
        return f"{form.encoding} of {form.algorithm}"
    letters = frozenset(came)
    kind = "hex" if letters <= _HEX else "base64" if letters <= _BASE64 else ""
    looks = _FORMS.get((len(came), kind))
    if looks and looks != wanted:
        return f"it looks like {looks}, while {wanted} is expected: set algorithm and encoding, or the right scheme"
    return f"{length} characters are expected ({wanted}), {len(came)} came: it is cut, or of another kind"
