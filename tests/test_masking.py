"""Secrets are hidden whole, whatever characters they have and however they were quoted, and little else is hidden."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
from collections.abc import Callable

import pytest

from integrity.brokers import commands
from integrity.brokers.base import BrokerFailed
from integrity.errors import BadOption
from integrity.reports import masking
from integrity.settings import from_userdata

#: What may stand inside a secret and end a word, a quote, a list or a value.
BETWEEN = [
    ",",
    ";",
    "'",
    '"',
    " ",
    "\\",
    "$",
    "|",
    ")",
    "}",
    "&",
    "<",
    ":",
    "=",
    "#",
    "\t",
    "@",
    "'\"' ",
    "\\' ",
    " --x ",
]


def secret(between: str) -> str:
    """Of three parts, so that any part that is left is seen."""
    return between.join(("HUNT1", "HUNT2", "HUNT3"))


def in_double_quotes(text: str) -> str:
    for character in '\\"$`':
        text = text.replace(character, f"\\{character}")
    return f'"{text}"'


def backslashed(text: str) -> str:
    return "".join(f"\\{character}" if not character.isalnum() else character for character in text)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("sasl.jaas.config", "x required password=y;", masking.MASK),
        ("ssl.key.password", "p", masking.MASK),
        ("ssl_key", "p", masking.MASK),
        ("ssl.keystore.key", "-----BEGIN", masking.MASK),
        ("client_secret", "p", masking.MASK),
        ("oauth.token", "p", masking.MASK),
        ("sasl_password", "", ""),
        ("stop_command", "kafkactl --password hunter2 stop", f"kafkactl --password {masking.MASK} stop"),
        ("command", "behave -D sasl.password=hunter2 -D seed=1", f"behave -D sasl.password={masking.MASK} -D seed=1"),
        ("proxy", "http://me:hunter2@host:1", f"http://{masking.MASK}@host:1"),
        ("ssl.keystore.location", "/etc/k.jks", "/etc/k.jks"),
        ("seed", "7", "7"),
        ("why", "the password is wrong", "the password is wrong"),
        ("why", "a token bucket", "a token bucket"),
    ],
)
def test_masking(name: str, value: str, shown: str) -> None:
    assert masking.masked(name, value) == shown


@pytest.mark.parametrize(
    "option",
    [
        "--password ", "-Dssl.key.password=", "--pass ", "DB_PASS=", "db.pwd=", "x | env SSHPASS=", "sshpass -p ",
        "/bin/sshpass -vp", "-u me:", "-sku me:", "-ume:", "--user me:", "--auth=me:", "--proxy-user me:",
    ],
)  # fmt: skip
def test_a_commands_secret_is_hidden_whole_however_it_is_quoted(option):
    """Every way of quoting for the plainest option; of the others one with each secret, in turn: all take seconds."""
    quotings = [shlex.quote, in_double_quotes, backslashed]
    for number, between in enumerate(BETWEEN):
        for quoted in quotings if option == "--password " else [quotings[number % len(quotings)]]:
            hides_in_every_nesting(option, quoted, between)


def hides_in_every_nesting(option: str, quoted: Callable[[str], str], between: str) -> None:
    inner = f"kafkactl {option}{quoted(secret(between))} stop"
    assert shlex.split(inner)[-1] == "stop"
    for command in (
        inner,
        f"sh -c {shlex.quote(inner)}",
        f"ssh host {in_double_quotes(f'sh -c {shlex.quote(inner)}')} now",
        shlex.join(["behave", "-D", f"stop_command={inner}", "-D", "seed=1"]),
        shlex.join(["behave", "-D", f"stop_command=sh -c {in_double_quotes(inner)}", "-D", "seed=1"]),
    ):
        shown = masking.masked("command", command)
        assert "HUNT" not in shown
        assert masking.MASK in shown
        assert "kafkactl" in shown
        assert "stop" in shown
        assert "HUNT" not in masking.mask_command(shlex.split(command))
        assert secret(between) in masking.secrets_in(command)


@pytest.mark.parametrize("before", ["-u me:", "--auth me:", "env SSHPASS=", "DB_PWD="])
def test_a_secret_is_hidden_whole_where_what_is_before_it_is_quoted_as_well(before):
    option, _, name = before.rpartition(" ")
    for quoted, between in itertools.product([shlex.quote, in_double_quotes], BETWEEN):
        shown = masking.masked("command", f"kafkactl {option} {quoted(name + secret(between))} stop")
        assert "HUNT" not in shown
        assert shown.startswith("kafkactl")
        assert shown.endswith(" stop")
        assert "me:" in shown or "me:" not in before


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("sshpass -p hunter2 ssh -p 2222 me@host", "sshpass -p ******** ssh -p 2222 me@host"),
        ("sshpass -v -P Word: -phunter2 ssh host", "sshpass -v -P Word: -p******** ssh host"),
        ("env SSHPASS=hunter2 sshpass -e ssh host", "env SSHPASS=******** sshpass -e ssh host"),
        ("curl -sku admin:hunter2 https://host/stop", "curl -sku admin:******** https://host/stop"),
        ("ssh host 'curl --user a:hunter2 x'", "ssh host 'curl --user a:******** x'"),
        ("docker exec -it -u kafka:kafka c curl -u me:hunter2", "docker exec -it -u kafka:kafka c curl -u me:********"),
        ("curl -u 'me:hunter2 hunter2", "curl -u 'me:********"),
    ],
)
def test_of_what_a_command_is_handed_the_secret_alone_is_hidden(command, shown):
    assert masking.masked("stop_command", command) == shown
    assert masking.mask_inside(f"+ {command}") == f"+ {shown}"


@pytest.mark.parametrize(
    "command",
    [
        "ssh -p 2222 me@host stop",
        "sshpass -f file ssh -p 2222 host",
        "docker run -p 9092:9092 kafka",
        "docker compose -p stage stop kafka",
        "docker exec -u kafka:kafka kafka-1 kafka-server-stop.sh",
        "docker run --name kafka -u 1000:1000 image",
        "sudo -u kafka kafka-server-stop.sh",
        "kafkactl -u http://broker-1:8080 stop",
        "all tests pass: 5",
        "make by.pass 5",
    ],
)
def test_what_only_looks_like_it_is_not_hidden(command):
    assert masking.masked("stop_command", command) == command
    assert masking.secrets_in(command) == set()


@pytest.mark.parametrize("between", BETWEEN)
def test_a_known_secret_is_hidden_in_every_form(between):
    known = secret(between)
    for text in (
        known,
        shlex.quote(known),
        shlex.join(["sh", "-c", shlex.join(["echo", known])]),
        f"echo {in_double_quotes(known)}",
        f"echo {backslashed(known)}",
        json.dumps({"said": known}),
        json.dumps({"said": json.dumps({"said": known})}),
        repr({"said": known}),
        known.replace("\\", "\\\\"),
    ):
        assert "HUNT" not in masking.hide(f"it said {text}.", [known])
        assert "HUNT" not in masking.masked("why", f"it said {text}.", [known])


def test_each_line_of_a_known_key_is_hidden():
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----\n"
    shown = masking.hide("".join(f"  | {line}\r\n" for line in key.splitlines()), [key])
    assert shown.count(masking.MASK) == 2
    assert "MIIE" not in shown
    assert "AQEF" not in shown


def test_a_short_secret_is_hidden_where_it_stands_alone():
    assert masking.hide("broker-1 of 1, 10", ["1"]) == f"broker-1 of {masking.MASK}, 10"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ('{"password": "HUNT, HUNT", "a": 1}', '{"password": ********, "a": 1}'),
        ("{'sasl_plain_password': 'HUNT; HUNT', 'a': 1}", "{'sasl_plain_password': ********, 'a': 1}"),
        ("'--password=HUNT HUNT' x", "'--password=********' x"),
        ("+ kafkactl --password 'it'\\''s HUNT' stop", "+ kafkactl --password ******** stop"),
        ("password=HUNT,HUNT;HUNT x", "password=******** x"),
        ("curl -H 'Authorization: Bearer HUNT' x", "curl -H 'Authorization: ********' x"),
        ("> Authorization: Basic HUNT==", "> Authorization: Basic ********"),
        ('say "what follows --token HUNT" x', 'say "what follows --token ********" x'),
        ("the password --token HUNT", "the password --token ********"),
        ("http://me:HU@NT@host:1/x", "http://********@host:1/x"),
        ("TopicAuthorizationFailedError: topic 'x'", "TopicAuthorizationFailedError: topic 'x'"),
        ("all tests pass: 5", "all tests pass: 5"),
        ("the secret is out", "the secret is out"),
    ],
)
def test_what_is_hidden_in_the_midst_of_a_text(said, shown):
    assert masking.mask_inside(said) == shown


def test_a_command_with_nothing_to_hide_keeps_its_looks():
    for text in ('sh -c "docker stop kafka"', "it's unbalanced", "a  b", "x | y", ""):
        assert masking.mask_command(text) == text


@pytest.mark.parametrize("between", BETWEEN)
def test_what_a_command_prints_of_its_own_and_the_clients_secrets_is_hidden(between):
    own, known = secret(between), secret(between).replace("HUNT", "KNOWN")
    words = [sys.executable, "-c", "import sys; print(sys.argv, *sys.argv[2:])", "--token", own, known]
    said = commands.run("stop_command", words, secrets=[known])
    assert "HUNT" not in said
    assert "KNOWN" not in said
    assert masking.MASK in said
    with pytest.raises(BrokerFailed) as caught:
        commands.run("stop_command", ["no-such-program", "--token", own, known], secrets=[known])
    assert str(caught.value) == (
        "-D stop_command: no-such-program --token ******** ******** cannot be run: No such file or directory"
    )


def test_what_a_shell_traces_is_hidden():
    words = ["sh", "-xc", 'echo --password "$0"; false', "HUNT1, it's HUNT2", "--password", "HUNT3; HUNT4"]
    with pytest.raises(BrokerFailed) as caught:
        commands.run("stop_command", words, secrets=["HUNT1, it's HUNT2"])
    assert "ended with status 1" in str(caught.value)
    assert "HUNT" not in str(caught.value)


def test_a_command_that_cannot_be_split_is_told_without_its_secrets():
    with pytest.raises(BadOption, match="not a command line") as caught:
        from_userdata({"broker": "external", "bootstrap_servers": "a:1", "stop_command": "k --password 'HUNT1 HUNT2"})
    assert "HUNT" not in str(caught.value)


@pytest.mark.parametrize(
    "command",
    [
        "docker exec -w /opt -u kafka:kafka k kafka-server-stop.sh",
        "docker exec -e A=1 --user kafka:kafka k kafka-server-stop.sh",
        "docker exec -it --workdir /opt -ite A=1 --privileged -u kafka:kafka k kafka-server-stop.sh",
    ],
)
def test_a_containers_user_and_group_behind_options_with_values_are_none(command):
    assert masking.masked("stop_command", command) == command
    assert masking.secrets_in(command) == set()
    assert masking.secrets_in(shlex.split(command)) == set()


@pytest.mark.parametrize(
    "command",
    [
        "docker run --rm curlimages/curl -u me:HUNT https://host",
        "docker run -w /opt curlimages/curl -u me:HUNT https://host",
        "docker exec -e A=1 k curl -u me:HUNT https://host",
    ],
)
def test_what_works_in_a_container_has_a_login_of_its_own(command):
    assert "HUNT" not in masking.masked("stop_command", command)
    assert masking.secrets_in(command) == {"HUNT"}
