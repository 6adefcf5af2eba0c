"""Signs alerts as Standard Webhooks (https://www.standardwebhooks.com) does."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from typing import Final

PREFIX: Final = "whsec_"


def key_of(secret: str) -> bytes:
    """The bytes of a secret `whsec_...`, with or without its prefix. Raises ValueError."""
    return b64decode(secret.removeprefix(PREFIX), validate=True)


def sign(key: bytes, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers of a signed message. `seconds` is the time since the epoch."""
    content = f"{message_id}.{seconds}.".encode() + body
    signature = b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(seconds), "webhook-signature": f"v1,{signature}"}
