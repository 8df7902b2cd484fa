"""Options: every bad one stops with one line that says what would be right."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from integrity.errors import BadOption
from integrity.settings import OPTIONS, Settings, from_userdata, shown

ROOT = Path(__file__).parent.parent


def test_defaults_stand_in_behave_ini_and_in_the_code_alike():
    ini = configparser.ConfigParser()
    ini.read(ROOT / "behave.ini")
    assert tuple(ini["behave.userdata"]) == OPTIONS
    assert from_userdata(ini["behave.userdata"]) == Settings()


def test_every_option_is_read():
    settings = from_userdata(
        {
            "broker": "external",
            "image": "confluentinc/cp-kafka:latest",
            "kafka": "4.0.0",
            "client": "confluent-kafka",
            "bootstrap_servers": "a:9092,b:9093",
            "client_config": __file__,
            "stop_command": "kubectl delete pod 'a b'",
            "messages": "1,000,000",
            "seed": "7",
            "keep": "always",
            "timeout_factor": "2.5",
            "shard": "2/5",
        }
    )
    assert settings.stop_command == ("kubectl", "delete", "pod", "a b")
    assert (settings.messages, settings.seed, settings.timeout_factor) == (1_000_000, 7, 2.5)
    assert settings.client_config == Path(__file__)
    assert (settings.shard.first_id, settings.shard.label) == (1_000_000, "shard2of5")
    assert shown(settings, "stop_command") == "kubectl delete pod 'a b'"
    assert (shown(settings, "shard"), shown(settings, "start_command")) == ("2/5", "")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"brocker": "docker"}, ["brocker", "did you mean 'broker'?", "timeout_factor"]),
        ({"zzz": "1"}, ["unknown option -D zzz", "broker, image"]),
        ({"broker": "dokcer"}, ["auto, docker, embedded, external", "did you mean 'docker'"]),
        ({"client": "librdkafka"}, ["kafka-python, confluent-kafka"]),
        ({"kafka": "latest"}, ["looks like 4.3.1"]),
        ({"image": "Not An Image"}, ["looks like apache/kafka"]),
        ({"messages": "-1"}, ["whole number"]),
        ({"messages": "many"}, ["whole number"]),
        ({"seed": "x"}, ["whole number"]),
        ({"timeout_factor": "0"}, ["from 0.1 to 100"]),
        ({"timeout_factor": "fast"}, ["from 0.1 to 100"]),
        ({"keep": "yes"}, ["failed, always, never"]),
        ({"client_config": "/no/such/file"}, ["there is no such file"]),
        ({"stop_command": "stop 'it"}, ["not a command line"]),
        ({"stop_command": "docker stop kafka"}, ["add -D broker=external"]),
        ({"shard": "3"}, ["looks like 2/5"]),
        ({"shard": "0/5"}, ["looks like 2/5"]),
        ({"shard": "6/5"}, ["looks like 2/5"]),
        ({"shard": "1/2001"}, ["at most 2,000"]),
        ({"shard": "2/5"}, ["-D shard is for an existing cluster: add -D broker=external"]),
        (
            {"broker": "external", "bootstrap_servers": "a:1", "start_command": "x"},
            ["-D start_command", "add one of them"],
        ),
        ({"broker": "external"}, ["needs -D bootstrap_servers"]),
        ({"bootstrap_servers": "a:1"}, ["add -D broker=external"]),
        ({"broker": "external", "bootstrap_servers": "nowhere"}, ["not host:port"]),
    ],
)
def test_bad_options_are_one_clear_line(given, words):
    with pytest.raises(BadOption) as caught:
        from_userdata(given)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    "commands",
    [("stop",), ("kill",), ("stop", "kill"), ("stop", "start"), ("kill", "start"), ("stop", "kill", "start"), ()],
)
def test_what_takes_a_cluster_down_need_not_bring_it_back(commands):
    """An operator may do that, or a restart policy."""
    given = {f"{what}_command": what for what in commands}
    found = from_userdata({"broker": "external", "bootstrap_servers": "a:1"} | given)
    assert [what for what in ("stop", "kill", "start") if shown(found, f"{what}_command")] == list(commands)


def test_behaves_own_user_data_is_left_alone():
    assert from_userdata({"behave.reporter.junit.show_hostname": "false"}) == Settings()
