"""What make does before anything of the suite's own runs: its environment, and what it passes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: A Python that makes an environment as venv does, by a link to itself and a folder for packages of its version, and
#: otherwise tells what it is called with. As venv, it leaves a link alone that is there already, wherever it leads.
PYTHON = """#!/bin/sh
case "$1 $2" in
  "-c import pip") [ -d "${0%%/bin/*}/lib/%(version)s" ]; exit $? ;;
  "-c "*) exit 0 ;;
  "-m venv") mkdir -p "$3/bin" "$3/lib/%(version)s"; [ -L "$3/bin/python" ] || ln -s "$0" "$3/bin/python"
             [ -x "$3/bin/python" ]; exit $? ;;
esac
echo "$@"
"""


class Checkout:
    """A checkout of which there is only what make needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.folder.mkdir()
        self.told: list[str] = []
        for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "requirements-spark.txt"):
            shutil.copy(ROOT / name, self.folder)

    def python(self, name: str, version: str = "3.11") -> Path:
        """A Python of this machine, by that name."""
        python = self.folder.parent / name
        python.write_text(PYTHON % {"version": version})
        python.chmod(0o755)
        return python

    def make(self, *words: str, **environment: str) -> list[str]:
        """The lines that make prints; ``told`` has its errors'. Nothing of a make that runs the tests is passed on."""
        done = subprocess.run(
            ["make", *words],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"]} | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.told = done.stderr.splitlines()
        return done.stdout.splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("target", ["verify", "lint"])
def test_what_was_installed_for_a_python_that_has_gone_is_installed_again(checkout: Checkout, target: str) -> None:
    """Protects from an environment without any package after an upgrade of the system's Python."""
    old, new = checkout.python("python3.11"), checkout.python("python3.12", "3.12")
    first = checkout.make(target, f"PYTHON={old}")
    assert any(line.startswith("Installing") for line in first)
    assert not any(line.startswith(("Making", "Installing")) for line in checkout.make(target, f"PYTHON={old}"))
    old.unlink()
    assert checkout.make(target, f"PYTHON={new}") == [line.replace(str(old), str(new)) for line in first]
    assert (checkout.folder / ".venv" / "bin" / "python").readlink() == new
    assert not any(line.startswith(("Making", "Installing")) for line in checkout.make(target, f"PYTHON={new}"))


@pytest.mark.parametrize("target", ["verify", "lint"])
def test_what_was_installed_for_an_older_python_of_the_same_name_is_installed_again(checkout, target: str) -> None:
    """As a distribution's upgrade leaves it: what .venv/bin/python leads to is there, and has another version."""
    python = f"PYTHON={checkout.python('python3', '3.11')}"
    first = checkout.make(target, python)
    checkout.python("python3", "3.13")
    assert checkout.make(target, python) == first
    assert not any(line.startswith(("Making", "Installing")) for line in checkout.make(target, python))


def test_a_checkout_may_be_moved(checkout: Checkout) -> None:
    """The scripts that pip installs begin with the path of the Python they were installed for."""
    python = checkout.python("python3")
    checkout.make("verify", "lint", f"PYTHON={python}")
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    assert checkout.make("verify", "ARGS=features/x.feature") == ["-m behave features/x.feature"]
    assert checkout.make("lint") == ["-m ruff check .", "-m ruff format --check ."]


@pytest.mark.parametrize("target", ["verify", "test", "prove", "spark", "bench", "image"])
def test_only_the_command_line_has_the_options_of_a_run(checkout: Checkout, target: str) -> None:
    """Protects from a broker of the IMAGE that a CI job exports for its own build."""
    checkout.make(target, f"PYTHON={checkout.python('python3')}")
    theirs = {
        "BROKER": "docker",
        "IMAGE": "theirs",
        "KAFKA": "0",
        "CLIENT": "theirs",
        "ARGS": "theirs",
        "MESSAGES": "0",
    }
    said = checkout.make(target, **theirs)
    ignored = "taken from make's command line only, ignored: BROKER IMAGE KAFKA CLIENT ARGS"
    assert checkout.told == ([ignored] if target == "verify" else [])
    assert checkout.make(target) == said
    assert checkout.told == []
    assert checkout.make(target, "ARGS=ours", **theirs)[0].endswith(" ours")


def test_make_may_be_told_to_have_options_from_the_environment(checkout: Checkout) -> None:
    python = f"PYTHON={checkout.python('python3')}"
    assert checkout.make("-e", "verify", python, BROKER="embedded")[-1] == "-m behave -D broker=embedded"
    assert checkout.told == []
    assert checkout.make("verify", python, "BROKER=docker", BROKER="embedded")[-1] == "-m behave -D broker=docker"
    assert checkout.told == []


def test_the_command_line_names_the_broker(checkout: Checkout) -> None:
    words = ["BROKER=docker", "IMAGE=kafka:1", "KAFKA=4.1.0", "CLIENT=confluent-kafka"]
    said = checkout.make("verify", f"PYTHON={checkout.python('python3')}", *words)
    assert said[-1] == "-m behave -D broker=docker -D image=kafka:1 -D kafka=4.1.0 -D client=confluent-kafka"
