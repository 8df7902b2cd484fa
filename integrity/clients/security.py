"""Kafka's own client properties, translated for each client library.

The properties are those a Java client takes, with its names, defaults and values:

``security.protocol``
    PLAINTEXT (the default), SSL, SASL_PLAINTEXT, SASL_SSL
``sasl.mechanism``, ``sasl.jaas.config``
    PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, with the user's name and password in the login module's options; no default,
    since Java's, GSSAPI, is not supported
``ssl.truststore.location``, ``.password``, ``.type``, or ``ssl.truststore.certificates``
    the authorities to trust: PEM, or a JKS or PKCS12 store (read by the packaged keytool); without one, the system's
``ssl.keystore.location``, ``.type``, ``.password``, or ``ssl.keystore.certificate.chain`` and ``ssl.keystore.key``
    a client certificate with its key: a JKS or PKCS12 store with one key (read by the packaged keytool), or PEM. JKS is
    the default type; which of the three it really is, is seen from its content. ``ssl.key.password`` opens the key;
    without it, that of the store does. PEM has no ``ssl.keystore.password``
``ssl.endpoint.identification.algorithm``
    https (the default), or empty: then the host's name is not compared with the certificate

Other ``security.``, ``sasl.`` and ``ssl.`` properties are refused: leaving one out could weaken what was asked for. So
are those that the protocol has no use for, which Kafka's own clients leave out with a warning (a store's type and
the algorithm are taken: templates carry them), and two places for one thing, as they do.
What is no matter of security (``acks``, ``client.id`` ...) is the suite's own to choose; see ``left_out``.
Source: kafka.apache.org/documentation, "Producer Configs" and "Security"; KIP-651 (PEM).
"""

from __future__ import annotations

import functools
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integrity.clients import stores
from integrity.errors import BadOption

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
STORES = ("JKS", "PKCS12", "PEM")

#: Every property that is understood.
KNOWN = frozenset(
    {
        "security.protocol",
        "sasl.mechanism",
        "sasl.jaas.config",
        "ssl.truststore.location",
        "ssl.truststore.password",
        "ssl.truststore.type",
        "ssl.truststore.certificates",
        "ssl.keystore.location",
        "ssl.keystore.password",
        "ssl.keystore.type",
        "ssl.keystore.certificate.chain",
        "ssl.keystore.key",
        "ssl.key.password",
        "ssl.endpoint.identification.algorithm",
    }
)

#: Where a person reads which properties are supported.
WHICH_ARE = 'docs/external.md lists those that are ("Getting in")'

#: A place for something, and those that nothing can be at as well.
_EXCLUDES = {
    "ssl.truststore.location": ("ssl.truststore.certificates",),
    "ssl.keystore.location": ("ssl.keystore.certificate.chain", "ssl.keystore.key"),
}

#: What says how something is read or compared, if at all: nobody counts on it where there is nothing of the kind.
_MANNERS = frozenset({"ssl.endpoint.identification.algorithm", "ssl.truststore.type", "ssl.keystore.type"})

#: What a JAAS line must name as its module, by mechanism.
_MODULES = {"PLAIN": "PlainLoginModule", "SCRAM-SHA-256": "ScramLoginModule", "SCRAM-SHA-512": "ScramLoginModule"}
_JAAS = re.compile(
    r"\s*(?P<module>[\w.$]+)\s+(?:required|requisite|sufficient|optional)\b(?P<options>.*?);?\s*", re.DOTALL
)
_OPTION = re.compile(r"\s*([\w.]+)\s*=\s*(?:\"((?:\\.|[^\"\\])*)\"|'((?:\\.|[^'\\])*)'|([^\s;\"']+))")


@dataclass(frozen=True)
class Security:
    """What the properties come to. Everything in PEM is text; secrets stay out of its ``repr``.

    ca: None trusts the system's authorities.
    """

    protocol: str = "PLAINTEXT"
    mechanism: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    ca: str | None = field(default=None, repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    key_password: str = field(default="", repr=False)
    checks_name: bool = True

    @property
    def uses_tls(self) -> bool:
        return self.protocol.endswith("SSL")

    @property
    def uses_sasl(self) -> bool:
        return self.protocol.startswith("SASL")

    def context(self) -> ssl.SSLContext:
        """The TLS settings for Python's own connections, the same for all. Raises BadOption when a certificate or key
        is no good.
        """
        return _context(self)


@functools.lru_cache(maxsize=8)
def _context(secured: Security) -> ssl.SSLContext:
    """Made once: a system's authorities take longer to read than a broker to answer. Nobody changes it afterwards, and
    then threads may share it.
    """
    try:
        context = ssl.create_default_context(cadata=secured.ca)
    except (ssl.SSLError, ValueError) as error:
        raise BadOption("client property ssl.truststore.certificates holds no certificate in PEM") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Newer Pythons are stricter about how an authority's certificate is written than Java and librdkafka are.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = secured.checks_name
    if secured.certificate:
        stores.load_identity(context, secured.certificate, secured.key, secured.key_password)
    return context


def parse(properties: Mapping[str, str]) -> Security:
    """Understand the properties. Raises BadOption, in one line without secrets, for the first thing wrong."""
    return _parse(tuple(sorted(properties.items())))


@functools.lru_cache(maxsize=8)
def _parse(items: tuple[tuple[str, str], ...]) -> Security:
    properties = dict(items)
    for name in properties:
        if _is_about_security(name) and name not in KNOWN:
            raise BadOption(f"client property {name} is not supported; {WHICH_ARE}")
    protocol = properties.get("security.protocol", "PLAINTEXT").upper()
    if protocol not in PROTOCOLS:
        raise BadOption(f"client property security.protocol is one of {', '.join(PROTOCOLS)}, not {protocol!r}")
    _refuse_unused([name for name, value in items if value], protocol)
    security: dict[str, Any] = {"protocol": protocol}
    if protocol.startswith("SASL"):
        security |= _credentials(properties)
    if protocol.endswith("SSL"):
        security |= _certificates(properties)
    found = Security(**security)
    if found.uses_tls:
        found.context()  # a certificate that cannot be used is better found here than by a client
    return found


def _uses(protocol: str, name: str) -> bool:
    if name.startswith("sasl."):
        return protocol.startswith("SASL")
    return protocol.endswith("SSL") or not name.startswith("ssl.")


def _refuse_unused(names: Sequence[str], protocol: str) -> None:
    """Raise BadOption when the protocol has no use for one of the properties: who gave it counts on it."""
    unused = [name for name in names if not _uses(protocol, name) and name not in _MANNERS]
    if unused:
        using = [other for other in PROTOCOLS if all(_uses(other, name) for name in names)]
        raise BadOption(
            f"client {_properties(unused)} not used with security.protocol={protocol}: "
            f"give {' or '.join(using)}, or leave out what is not used"
        )


def _properties(names: Sequence[str]) -> str:
    return f"property {names[0]} is" if len(names) == 1 else f"properties {', '.join(names)} are"


def left_out(properties: Mapping[str, str]) -> list[str]:
    """The names of properties that have nothing to do with security, which the suite chooses for itself."""
    return sorted(name for name in properties if not _is_about_security(name))


def secrets(properties: Mapping[str, str]) -> list[str]:
    """Every secret among the properties, the longest first, for hiding them in others' output."""
    security = parse(properties)
    named = [
        value for name, value in properties.items() if name.endswith((".password", ".jaas.config", ".keystore.key"))
    ]
    found = {security.password, security.key_password, security.key, *named}
    return sorted((value for value in found if value), key=len, reverse=True)


def _is_about_security(name: str) -> bool:
    return name.startswith(("security.", "sasl.", "ssl."))


def _credentials(properties: Mapping[str, str]) -> dict[str, Any]:
    mechanism = properties.get("sasl.mechanism", "")
    if not mechanism:  # Kafka's own clients take GSSAPI then, which nobody has asked for
        raise BadOption(f"client property sasl.mechanism is missing; one of {', '.join(MECHANISMS)}")
    if mechanism not in MECHANISMS:
        raise BadOption(
            f"client property sasl.mechanism={mechanism} is not supported: one of {', '.join(MECHANISMS)} is"
        )
    jaas = _JAAS.fullmatch(properties.get("sasl.jaas.config", ""))
    if jaas is None:
        raise BadOption(
            "client property sasl.jaas.config is missing or malformed: it looks like "
            f'...{_MODULES[mechanism]} required username="..." password="...";'
        )
    module = jaas["module"].rpartition(".")[2]
    if module != _MODULES[mechanism]:
        raise BadOption(f"client property sasl.jaas.config names {module}, but {mechanism} needs {_MODULES[mechanism]}")
    options = {name: next((v for v in values if v), "") for name, *values in _OPTION.findall(jaas["options"])}
    for name in ("username", "password"):
        if not options.get(name):
            raise BadOption(f"client property sasl.jaas.config has no {name}")
    plain = {name: re.sub(r"\\(.)", r"\1", value) for name, value in options.items()}
    return {"mechanism": mechanism, "username": plain["username"], "password": plain["password"]}


def _certificates(properties: Mapping[str, str]) -> dict[str, Any]:
    algorithm = properties.get("ssl.endpoint.identification.algorithm", "https").lower()
    if algorithm not in ("https", "", "none"):
        raise BadOption(f"client property ssl.endpoint.identification.algorithm is https or empty, not {algorithm!r}")
    _refuse_two_places(properties)
    for name in ("ssl.truststore.type", "ssl.keystore.type"):
        if (kind := (properties.get(name) or "JKS").upper()) not in STORES:
            raise BadOption(f"client property {name} is one of {', '.join(STORES)}, not {kind!r}")
    location = properties.get("ssl.truststore.location", "")
    ca: str | None = properties.get("ssl.truststore.certificates") or None
    if location:
        ca = stores.authorities(Path(location), properties.get("ssl.truststore.password", ""))
    own = _identity(properties)
    return {
        "ca": ca,
        "certificate": own.certificate,
        "key": own.key,
        "key_password": own.password,
        "checks_name": algorithm == "https",
    }


def _refuse_two_places(properties: Mapping[str, str]) -> None:
    for place, others in _EXCLUDES.items():
        if properties.get(place) and (given := [other for other in others if properties.get(other)]):
            raise BadOption(f"client properties {place} and {', '.join(given)} exclude each other: give one of the two")


def _identity(properties: Mapping[str, str]) -> stores.Identity:
    """What the client shows of itself; empty where nothing was given."""
    location = properties.get("ssl.keystore.location", "")
    password, key_password = properties.get("ssl.keystore.password", ""), properties.get("ssl.key.password", "")
    kind = (properties.get("ssl.keystore.type") or "JKS").upper()
    if location and kind != "PEM" and not stores.is_pem(Path(location), "ssl.keystore.location"):
        if not password:
            raise BadOption(f"client property ssl.keystore.password is missing: {location} is a {kind} store")
        return stores.identity(Path(location), password, key_password)
    if password:
        raise BadOption("client property ssl.keystore.password is for a JKS or PKCS12 store; for PEM: ssl.key.password")
    if location:
        text = stores.pem_text(Path(location), "ssl.keystore.location")
        return stores.Identity(text, text, key_password)
    chain, key = properties.get("ssl.keystore.certificate.chain", ""), properties.get("ssl.keystore.key", "")
    if bool(chain) != bool(key):
        raise BadOption("client properties ssl.keystore.certificate.chain and ssl.keystore.key belong together")
    return stores.Identity(chain, key, key_password)


def librdkafka_properties(properties: Mapping[str, str]) -> dict[str, Any]:
    """The properties as librdkafka takes them."""
    security = parse(properties)
    if security.protocol == "PLAINTEXT":
        return {}
    settings: dict[str, Any] = {"security.protocol": security.protocol}
    if security.uses_sasl:
        settings |= {
            "sasl.mechanism": security.mechanism,
            "sasl.username": security.username,
            "sasl.password": security.password,
        }
    if security.uses_tls:
        settings["ssl.endpoint.identification.algorithm"] = "https" if security.checks_name else "none"
        optional = {
            "ssl.ca.pem": security.ca,
            "ssl.certificate.pem": security.certificate,
            "ssl.key.pem": security.key,
            "ssl.key.password": security.key_password,
        }
        settings |= {name: value for name, value in optional.items() if value}
    return settings


def kafka_python_arguments(properties: Mapping[str, str]) -> dict[str, Any]:
    """The properties as arguments of kafka-python's classes."""
    security = parse(properties)
    if security.protocol == "PLAINTEXT":
        return {}
    arguments: dict[str, Any] = {"security_protocol": security.protocol}
    if security.uses_sasl:
        arguments |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password,
        }
    if security.uses_tls:
        arguments["ssl_context"] = security.context()
    return arguments
