"""Whom to believe: the system's authorities, and certificates that are not believed, in words for people."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
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


def doubts(env: Mapping[str, str]) -> list[str]:
    """What is wrong with the variables that say where the system's authorities are, one line each.

    OpenSSL passes over what it cannot read there, and then trusts nobody: every connection would fail for ever.
    """
    faults = []
    if file := env.get("SSL_CERT_FILE"):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
        except ssl.SSLError:
            faults.append(f"SSL_CERT_FILE: {file} holds no certificates in PEM: name a file that does, or unset it")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no such path"
            faults.append(f"SSL_CERT_FILE: {file} cannot be read ({why}): name a file of certificates, or unset it")
    folders = [Path(folder) for folder in env.get("SSL_CERT_DIR", "").split(os.pathsep) if folder]
    if folders and not any(folder.is_dir() for folder in folders):
        faults.append(f"SSL_CERT_DIR: {env['SSL_CERT_DIR']} is no folder: name one with certificates, or unset it")
    return faults
