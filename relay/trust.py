"""Certificates that are not believed, in words for people."""

import ssl
from typing import Final

_OTHER_HOST: Final = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


def distrust(error: BaseException | None, *, ca_file: str, url: str) -> str | None:
    """Why a server's certificate is refused, and what to check: the setting `ca_file`, or the host in `url`.

    None when the error is another one.
    """
    if not isinstance(error, ssl.SSLCertVerificationError):
        return None
    why = error.verify_message.rstrip(".")
    if error.verify_code in _OTHER_HOST:
        return f"its certificate is for another host ({why}): check {url}"
    return f"its certificate is not trusted ({why}): check {ca_file}"
