"""Client properties: read as Java reads them, understood for both clients, refused in one line without secrets."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest

from integrity.clients import properties, security, stores
from integrity.errors import BadOption
from tests.report_samples import ROOT
from tests.secured import KEY_PASSWORD, SECRETS, STORE_PASSWORD, WRONG_PASSWORD, certificates, in_store, jaas, keytool

SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": jaas()}

TLS = {"security.protocol": "SASL_SSL"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=b", {"a": "b"}),
        ("a = b \n", {"a": "b "}),
        ("a:b\nc d\ne", {"a": "b", "c": "d", "e": ""}),
        ("# x=1\n! y=2\n\n  a=b", {"a": "b"}),
        ("a=one \\\n   two", {"a": "one two"}),
        ("a=ends in one \\\\\nb=c", {"a": "ends in one \\", "b": "c"}),
        ("a\\=b\\:c=d", {"a=b:c": "d"}),
        ("a=\\u00e9\\t\\ud83d\\ude00\\q", {"a": "é\t😀q"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=1\r\na=2", {"a": "2"}),
        ("a=1\\", {"a": "1"}),
        ("", {}),
    ],
)
def test_a_file_is_read_as_java_reads_it(text, found):
    assert properties.parse(text) == found


@pytest.mark.parametrize("text", ["a=1\n= hunter2", "a=1\npassword=\\uhunter2"])
def test_a_malformed_line_is_named_by_its_number_and_not_shown(text, tmp_path):
    path = tmp_path / "client.properties"
    path.write_text(text)
    with pytest.raises(BadOption, match="line 2") as caught:
        properties.read(path)
    assert "hunter2" not in str(caught.value)


def test_no_properties_are_no_security():
    assert security.librdkafka_properties({}) == {}
    assert security.kafka_python_arguments({}) == {}
    assert security.left_out({"acks": "all", "ssl.key.password": "x", "client.id": "me"}) == ["acks", "client.id"]


def test_what_connections_are_secured_with_is_made_once():
    """Reading a system's authorities takes longer than a broker's answer, and each look is a connection."""
    one, other = TLS | SASL | {"security.protocol": "SASL_SSL"}, {"security.protocol": "SSL"}
    assert security.parse(one).context() is security.parse(dict(one)).context()
    assert security.kafka_python_arguments(one)["ssl_context"] is security.parse(one).context()
    unnamed = other | {"ssl.endpoint.identification.algorithm": ""}
    assert security.parse(other).context().check_hostname
    assert not security.parse(unnamed).context().check_hostname


def test_credentials_reach_both_clients():
    rd, py = security.librdkafka_properties(SASL), security.kafka_python_arguments(SASL)
    assert (rd["sasl.username"], rd["sasl.password"]) == ("alice", SECRETS[0])
    assert (py["sasl_plain_username"], py["sasl_plain_password"]) == ("alice", SECRETS[0])
    assert rd["sasl.mechanism"] == py["sasl_mechanism"] == "SCRAM-SHA-512"
    assert rd["security.protocol"] == py["security_protocol"] == "SASL_PLAINTEXT"


@pytest.mark.parametrize(
    "line",
    [
        'x.ScramLoginModule required username="alice" password="a;b=c";',
        "x.ScramLoginModule   required\n  username=alice\n  password='a;b=c' ;",
    ],
)
def test_jaas_lines_as_people_write_them(line):
    found = security.parse(SASL | {"sasl.jaas.config": line})
    assert (found.username, found.password) == ("alice", "a;b=c")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"security.protocol": "TLS"}, "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({"sasl.mechanism": "GSSAPI"}, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"sasl.mechanism": ""}, "sasl.mechanism is missing; one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"sasl.mechanism": "PLAIN"}, "PLAIN needs PlainLoginModule"),
        ({"sasl.jaas.config": ""}, "missing or malformed"),
        ({"sasl.jaas.config": "x.ScramLoginModule required username=alice;"}, "has no password"),
        ({"sasl.login.class": "x"}, f"sasl.login.class is not supported; {security.WHICH_ARE}"),
        ({"ssl.engine.factory.class": "x"}, f"ssl.engine.factory.class is not supported; {security.WHICH_ARE}"),
        ({**TLS, "ssl.truststore.location": "/no/such"}, "cannot be read"),
        ({**TLS, "ssl.truststore.type": "JCEKS"}, "ssl.truststore.type is one of JKS, PKCS12, PEM, not 'JCEKS'"),
        ({**TLS, "ssl.truststore.location": __file__, "ssl.truststore.certificates": "x"}, "exclude each other"),
        ({**TLS, "ssl.keystore.location": __file__, "ssl.keystore.type": "PEM"}, "is not PEM"),
        ({**TLS, "ssl.keystore.location": __file__}, "ssl.keystore.password is missing"),
        ({**TLS, "ssl.keystore.type": "JCEKS"}, "ssl.keystore.type is one of JKS, PKCS12, PEM, not 'JCEKS'"),
        ({**TLS, "ssl.keystore.password": "x"}, "for PEM: ssl.key.password"),
        ({**TLS, "ssl.truststore.certificates": "x"}, "ssl.truststore"),
        ({**TLS, "ssl.keystore.key": "x"}, "belong together"),
        (
            {**TLS, "ssl.keystore.location": __file__, "ssl.keystore.certificate.chain": "x", "ssl.keystore.key": "x"},
            "ssl.keystore.location and ssl.keystore.certificate.chain, ssl.keystore.key exclude each other",
        ),
        ({**TLS, "ssl.endpoint.identification.algorithm": "x"}, "https or empty"),
    ],
)
def test_what_cannot_be_is_one_line_without_secrets(changes, words):
    with pytest.raises(BadOption) as caught:
        security.parse(SASL | changes)
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    assert not any(secret in text for secret in SECRETS)


def test_a_missing_mechanism_is_not_taken_for_one_that_nobody_has_named():
    without = {name: value for name, value in SASL.items() if name != "sasl.mechanism"}
    with pytest.raises(BadOption, match=r"sasl.mechanism is missing; one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512$"):
        security.parse(without)


def test_where_the_supported_properties_are_listed_is_there():
    """All that are known are named in that section of that page."""
    page, title = security.WHICH_ARE.split()[0], security.WHICH_ARE.split('"')[1]
    section = (ROOT / page).read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    assert [name for name in sorted(security.KNOWN) if name not in section] == []


@pytest.mark.parametrize(
    ("protocol", "more", "words"),
    [
        (
            "",
            {},
            "sasl.jaas.config, sasl.mechanism are not used with security.protocol=PLAINTEXT: give SASL_PLAINTEXT or",
        ),
        ("PLAINTEXT", {"sasl.mechanism": ""}, "property sasl.jaas.config is not used with security.protocol=PLAINTEXT"),
        ("SSL", {}, "not used with security.protocol=SSL: give SASL_PLAINTEXT or SASL_SSL, or leave out what is"),
        ("ssl", {"ssl.truststore.type": "PEM"}, "security.protocol=SSL: give SASL_SSL, or"),
        ("SASL_PLAINTEXT", {"ssl.truststore.location": "a"}, "property ssl.truststore.location is not used with"),
        ("", {"sasl.mechanism": "", "sasl.jaas.config": "", "ssl.key.password": SECRETS[0]}, "give SSL or SASL_SSL"),
    ],
)
def test_what_the_protocol_has_no_use_for_is_refused(protocol, more, words):
    """Who gave a password or an authority counts on its being asked for."""
    with pytest.raises(BadOption) as caught:
        security.parse(
            {name: value for name, value in (SASL | {"security.protocol": protocol} | more).items() if value}
        )
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    assert not any(secret in text for secret in SECRETS)


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
@pytest.mark.parametrize("algorithm", ["https", "none", ""])
def test_what_templates_carry_is_taken_where_nothing_is_encrypted(protocol, algorithm):
    """It holds neither an authority nor a password that anybody could count on."""
    carried = {"ssl.truststore.type": "PEM", "ssl.keystore.type": "JKS"}
    carried["ssl.endpoint.identification.algorithm"] = algorithm
    given = (SASL if protocol.startswith("SASL") else {}) | {"security.protocol": protocol}
    assert security.parse(given | carried) == security.parse(given)


def test_a_property_without_a_value_is_none():
    empty = {"sasl.jaas.config": "", "ssl.truststore.type": "", "ssl.endpoint.identification.algorithm": ""}
    assert security.parse(empty) == security.Security()


def test_secrets_are_known_and_not_shown():
    assert set(security.secrets(SASL)) == {SECRETS[0], jaas()}
    assert SECRETS[0] not in repr(security.parse(SASL))


# -- a client's key in a store of Java's ----------------------------------------------------------------
@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What secured.certificates makes, and client-two.pkcs12 with a second key."""
    folder = tmp_path_factory.mktemp("stores")
    certificates(folder)
    two = shutil.copy(folder / "client.pkcs12", folder / "client-two.pkcs12")
    words = ("-genkeypair", "-alias", "second", "-keyalg", "EC", "-dname", "CN=second", "-storepass", STORE_PASSWORD)
    keytool(*words, "-keystore", str(two))
    return folder


def stored(folder: Path, kind: str, **changes: str) -> dict[str, str]:
    given = {"security__protocol": "SSL"} | in_store(folder, kind) | changes
    return {name.replace("__", "."): value for name, value in given.items() if value}


@pytest.mark.parametrize("kind", ["PKCS12", "JKS"])
def test_a_key_in_a_store_of_javas_reaches_both_clients(folder, kind):
    rd = security.librdkafka_properties(stored(folder, kind))
    # The client's certificate and that of the authority between it and the one that brokers trust, in this order.
    assert rd["ssl.certificate.pem"].count("BEGIN CERTIFICATE") == 2
    assert "BEGIN ENCRYPTED PRIVATE KEY" in rd["ssl.key.pem"]
    assert rd["ssl.key.password"] not in ("", STORE_PASSWORD, KEY_PASSWORD)
    # Fails unless the first certificate is the key's.
    own = (rd[f"ssl.{name}"] for name in ("certificate.pem", "key.pem", "key.password"))
    stores.load_identity(ssl.create_default_context(), *own)
    assert isinstance(security.kafka_python_arguments(stored(folder, kind))["ssl_context"], ssl.SSLContext)


def test_the_content_says_what_a_keystore_is(folder):
    """As Java does: its type JKS, which is Kafka's default, opens a PKCS12 store as well."""
    default = stored(folder, "PKCS12", ssl__keystore__type="")
    assert "ssl.keystore.type" not in default
    assert security.parse(default).certificate == security.parse(stored(folder, "PKCS12")).certificate


def test_the_secrets_of_a_store_are_known(folder):
    properties = stored(folder, "JKS")
    found = security.parse(properties)
    assert {STORE_PASSWORD, KEY_PASSWORD, found.key, found.key_password} <= set(security.secrets(properties))
    assert found.key_password not in repr(found)


def test_no_command_line_shows_a_secret_of_a_store_and_no_file_stays(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(stores.tempfile, "tempdir", str(tmp_path))
    run, lines = stores.subprocess.run, []
    monkeypatch.setattr(stores.subprocess, "run", lambda words, **more: (lines.append(words), run(words, **more))[1])
    found = stores.identity(folder / "client.jks", STORE_PASSWORD, KEY_PASSWORD)
    assert len(lines) == 2
    assert not any(secret in word for secret in (*SECRETS, found.password) for line in lines for word in line)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("PKCS12", {"ssl__keystore__password": WRONG_PASSWORD}, "is ssl.keystore.password right?"),
        ("JKS", {"ssl__keystore__password": WRONG_PASSWORD}, "is ssl.keystore.password right?"),
        ("JKS", {"ssl__keystore__password": ""}, "ssl.keystore.password is missing"),
        ("JKS", {"ssl__keystore__password": f"\0{WRONG_PASSWORD}"}, "characters that no password can have"),
        ("JKS", {"ssl__keystore__password": f"\ud800{WRONG_PASSWORD}"}, "characters that no password can have"),
        ("JKS", {"ssl__key__password": WRONG_PASSWORD}, "is ssl.key.password right?"),
        ("JKS", {"ssl__key__password": ""}, "does it need ssl.key.password?"),
        ("PKCS12", {"ssl__key__password": WRONG_PASSWORD}, "is ssl.key.password right?"),
        ("JKS", {"ssl__keystore__location": "ca.jks"}, "holds no private key"),
        ("PKCS12", {"ssl__keystore__location": "ca.pkcs12"}, "holds no private key"),
        ("PKCS12", {"ssl__keystore__location": "client-two.pkcs12"}, "holds 2 private keys (second, zoë, client)"),
        ("PKCS12", {"ssl__keystore__location": "nowhere.p12"}, "cannot be read: No such file"),
        ("PKCS12", {"ssl__keystore__location": __file__}, "is none of JKS, PKCS12 and PEM"),
    ],
)
def test_a_store_that_gives_no_key_is_one_line_without_secrets(folder, kind, changes, words):
    if "ssl__keystore__location" in changes:
        changes = changes | {"ssl__keystore__location": str(folder / changes["ssl__keystore__location"])}
    with pytest.raises(BadOption) as caught:
        security.parse(stored(folder, kind, **changes))
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    assert not any(secret in text for secret in SECRETS)
