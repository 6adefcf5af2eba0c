"""Checks certificate files and the system's authorities, and describes errors of certificates."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.place import is_folder

VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_OTHER_HOST: Final = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_KEY: Final = b"PRIVATE KEY-----"
_ENCRYPTED: Final = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")


@dataclass(frozen=True, slots=True)
class FileFault:
    """A fault in the file of the setting `key`. `missing` says that the file does not exist.

    `key` is `ca_file`, `cert_file` or `key_file`. `message` follows the key, and says what is wrong and what to do.
    """

    key: str
    message: str
    missing: bool = False


def distrust(error: BaseException | None, *, ca_file: str, url: str) -> str | None:
    """Describe why a server's certificate is refused, and what to check: the setting `ca_file`, or the host in `url`.

    None when the error is another one.
    """
    if not isinstance(error, ssl.SSLCertVerificationError):
        return None
    why = error.verify_message.rstrip(".")
    if error.verify_code in _OTHER_HOST:
        return f"its certificate is for another host ({why}): check {url}"
    return f"its certificate is not trusted ({why}): check {ca_file}"


def doubts(env: Mapping[str, str]) -> list[str]:
    """The faults of the variables for the system's authorities, one line each.

    OpenSSL ignores files that it cannot read, and then trusts no server, so that every connection would fail.
    """
    faults = []
    if file := env.get("SSL_CERT_FILE"):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
        except ssl.SSLError:
            faults.append(
                f"SSL_CERT_FILE: {file} contains no certificates in PEM: name a file of certificates, or unset it"
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no such path"
            faults.append(f"SSL_CERT_FILE: {file} cannot be read ({why}): name a file of certificates, or unset it")
    folders = [Path(folder) for folder in env.get("SSL_CERT_DIR", "").split(os.pathsep) if folder]
    if folders and not any(is_folder(folder) for folder in folders):
        faults.append(
            f"SSL_CERT_DIR: {env['SSL_CERT_DIR']} is not a folder: name a folder of certificates, or unset it"
        )
    return faults


def unwelcome(error: BaseException | None, *, cert_file: str) -> str | None:
    """Describe why a server refuses our certificate or requires one. `cert_file` is the name of the setting.

    None when the error is another one.
    """
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if "CERTIFICATE_REQUIRED" in reason:
        return f"it requires a client certificate: set {cert_file} and its key"
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        why = reason.replace("_", " ").lower()
        return f"it refuses our certificate ({why}): check {cert_file}, and which authority it trusts"
    return None


def inspect_authorities(ca_file: str) -> FileFault | None:
    """The fault of a file of certificate authorities, None when it is valid."""
    content = _read("ca_file", ca_file)
    if isinstance(content, FileFault):
        return content
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca_file)
    except OSError as error:
        return FileFault("ca_file", f"contains no certificate in PEM ({ca_file}: {_why(error)}): name another file")
    return None


def inspect_identity(cert_file: str, key_file: str) -> FileFault | None:
    """The fault of a client certificate or its key, None when they are valid and belong together."""
    certificate = _read("cert_file", cert_file)
    if isinstance(certificate, FileFault):
        return certificate
    if _CERTIFICATE not in certificate:
        return FileFault("cert_file", f"contains no certificate in PEM ({cert_file}): name the client's certificate")
    key = _read("key_file", key_file)
    if isinstance(key, FileFault):
        return key
    if _KEY not in key:
        return FileFault("key_file", f"contains no private key in PEM ({key_file}): name the certificate's key")
    if any(sign in key for sign in _ENCRYPTED):
        hint = "decrypt it (openssl pkey) and protect the file instead"
        return FileFault("key_file", f"is encrypted ({key_file}), and Relay cannot ask for its passphrase: {hint}")
    try:
        present(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert_file, key_file)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return FileFault("key_file", f"is not the key of {cert_file} ({key_file}): name the right key")
        return FileFault(
            "cert_file", f"cannot be used with its key ({cert_file}, {key_file}: {_why(error)}): create it again"
        )
    except OSError as error:
        return FileFault("cert_file", f"cannot be read ({cert_file}: {_why(error)}): correct its permissions")
    return None


def present(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """Present this certificate to servers that request one. Raises OSError."""
    # Without `password` OpenSSL would ask for the passphrase of an encrypted key on the terminal, and wait.
    context.load_cert_chain(cert_file, key_file, password=lambda: "")


def _read(key: str, name: str) -> bytes | FileFault:
    try:
        return Path(name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return FileFault(key, f"cannot be read ({name}: no such file): mount it or correct the path", missing=True)
    except (OSError, ValueError) as error:
        return FileFault(key, f"cannot be read ({name}: {_why(error)}): correct the path or its permissions")


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or "no such path"
