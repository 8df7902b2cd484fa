"""Client properties: read as Java reads them, understood for both clients, refused in one line without secrets."""

from __future__ import annotations

import pytest

from integrity.clients import properties, security
from integrity.errors import BadOption
from tests.secured import SECRETS, jaas

SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": jaas()}


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
        ({"sasl.mechanism": "PLAIN"}, "PLAIN needs PlainLoginModule"),
        ({"sasl.jaas.config": ""}, "missing or malformed"),
        ({"sasl.jaas.config": "x.ScramLoginModule required username=alice;"}, "has no password"),
        ({"sasl.login.class": "x"}, "sasl.login.class is not supported"),
        ({"ssl.keystore.password": "x"}, "as PEM"),
        ({"security.protocol": "SSL", "ssl.truststore.location": "/no/such"}, "cannot be read"),
        ({"security.protocol": "SSL", "ssl.keystore.location": __file__}, "is not PEM"),
        ({"security.protocol": "SSL", "ssl.truststore.certificates": "x"}, "ssl.truststore"),
        ({"security.protocol": "SSL", "ssl.keystore.key": "x"}, "belong together"),
        ({"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": "x"}, "https or empty"),
    ],
)
def test_what_cannot_be_is_one_line_without_secrets(changes, words):
    with pytest.raises(BadOption) as caught:
        security.parse(SASL | changes)
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    assert not any(secret in text for secret in SECRETS)


def test_secrets_are_known_and_not_shown():
    assert set(security.secrets(SASL)) == {SECRETS[0], jaas()}
    assert SECRETS[0] not in repr(security.parse(SASL))
