"""Certificates: the system's authorities, those that are not believed, and files that cannot be used, in words."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_OTHER_HOST: Final = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_KEY: Final = b"PRIVATE KEY-----"
_ENCRYPTED: Final = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")


@dataclass(frozen=True, slots=True)
class FileFault:
    """What is wrong with the file that the setting `key` names; `missing` says that there is none.

    `key` is `ca_file`, `cert_file` or `key_file`; `message`, which follows it, says what is wrong and what to do.
    """

    key: str
    message: str
    missing: bool = False


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
        faults.append(f"SSL_CERT_DIR: {env['SSL_CERT_DIR']} is not a folder: name one with certificates, or unset it")
    return faults


def unwelcome(error: BaseException | None, *, cert_file: str) -> str | None:
    """Why a server refuses our certificate, or that it wants one: the setting `cert_file`.

    None when the error is another one.
    """
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if "CERTIFICATE_REQUIRED" in reason:
        return f"it takes only clients with a certificate: give {cert_file}, and its key"
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        why = reason.replace("_", " ").lower()
        return f"it does not take our certificate ({why}): check {cert_file}, and which authority it trusts"
    return None


def inspect_authorities(ca_file: str) -> FileFault | None:
    """What is wrong with a file of certificate authorities; None when it can be used."""
    content = _read("ca_file", ca_file)
    if isinstance(content, FileFault):
        return content
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca_file)
    except OSError as error:
        return FileFault("ca_file", f"holds no certificate in PEM ({ca_file}: {_why(error)}): name another file")
    return None


def inspect_identity(cert_file: str, key_file: str) -> FileFault | None:
    """What is wrong with a client's certificate or its key; None when they can be used, together."""
    certificate = _read("cert_file", cert_file)
    if isinstance(certificate, FileFault):
        return certificate
    if _CERTIFICATE not in certificate:
        return FileFault("cert_file", f"holds no certificate in PEM ({cert_file}): name the client's certificate")
    key = _read("key_file", key_file)
    if isinstance(key, FileFault):
        return key
    if _KEY not in key:
        return FileFault("key_file", f"holds no private key in PEM ({key_file}): name the certificate's key")
    if any(sign in key for sign in _ENCRYPTED):
        hint = "decrypt it (openssl pkey) and guard the file instead"
        return FileFault("key_file", f"is encrypted ({key_file}), and nobody is there to type its passphrase: {hint}")
    try:
        present(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert_file, key_file)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return FileFault("key_file", f"is not the key of {cert_file} ({key_file}): name the one that is")
        return FileFault(
            "cert_file", f"cannot be used with its key ({cert_file}, {key_file}: {_why(error)}): make it anew"
        )
    except OSError as error:
        return FileFault("cert_file", f"cannot be read ({cert_file}: {_why(error)}): mend its permissions")
    return None


def present(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """Show this certificate to servers that ask for one. Raises OSError."""
    # Without an answer OpenSSL would ask the terminal for an encrypted key's passphrase, and wait.
    context.load_cert_chain(cert_file, key_file, password=lambda: "")


def _read(key: str, name: str) -> bytes | FileFault:
    try:
        return Path(name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return FileFault(key, f"cannot be read ({name}: no such file): mount it or mend the path", missing=True)
    except (OSError, ValueError) as error:
        return FileFault(key, f"cannot be read ({name}: {_why(error)}): mend the path or its permissions")


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or "no such path"
