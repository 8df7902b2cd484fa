"""The offline image: where its base comes from, what is said when it cannot be built, what the built one is like."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from images import base, build
from integrity.brokers import engine
from integrity.errors import Unavailable
from integrity.settings import Settings

IMAGE = f"{build.IMAGE}:{Settings().kafka}"


def sources(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return folder


DEB822 = """Types: deb
# a comment in between
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /some/key

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "sources.list",
            "# deb http://off.example/x bookworm main\ndeb http://mirror.example/debian bookworm main contrib\n",
        ),
        ("sources.list", "deb [arch=amd64 signed-by=/k] http://mirror.example/debian bookworm main\n"),
        (
            "sources.list.d/one.list",
            "deb http://other.example/tools bookworm tools\ndeb http://mirror.example/debian bookworm main\n",
        ),
        ("sources.list.d/debian.sources", DEB822),
    ],
)
def test_the_mirror_is_the_machines_own(tmp_path: Path, name: str, text: str) -> None:
    found = base.archive("bookworm", sources(tmp_path, name, text))
    assert found == base.Archive("http://mirror.example/debian", "bookworm")


def test_a_source_that_is_switched_off_does_not_count(tmp_path: Path) -> None:
    folder = sources(tmp_path, "sources.list.d/x.sources", "Enabled: no\n" + DEB822.split("\n\n")[0])
    with pytest.raises(Unavailable, match="offers bookworm main"):
        base.archive("bookworm", folder)


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if name == "debootstrap" else f"/bin/{name}")
    with pytest.raises(Unavailable, match="apt-get install debootstrap"):
        base.build(None, "x:y", base.Archive("http://mirror.example/debian", "bookworm"))


def test_root_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unavailable, match=r"needs root: .*make image ARGS='--base IMAGE'"):
        base.build(None, "x:y", base.Archive("http://mirror.example/debian", "bookworm"))


@pytest.mark.skipif(sys.platform != "linux", reason="another system gets another message")
def test_the_command_without_an_engine_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "images.build"],
        env=os.environ | {"DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"},
        cwd=Path(build.__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no container engine answers" in done.stderr


def test_an_engine_of_another_processor_is_refused(docker_client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(Unavailable, match="riscv64"):
        build._check_architecture(docker_client)


def test_a_failed_step_is_one_line(docker_client, kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "fetch", lambda _: kafka)
    if engine.image_id(f"{build.BASE}:{base.suite()}") is None:
        pytest.skip("the engine has no base image: make image")
    with pytest.raises(Unavailable, match="could not be built") as caught:
        build.build("0.0.1", base_image=f"{engine.OWN_IMAGES}no-such-base:1")
    assert "\n" not in str(caught.value)


def test_a_second_build_changes_nothing(docker_client, kafka) -> None:
    before = engine.image_id(IMAGE)
    if before is None:
        pytest.skip(f"the engine has no {IMAGE}: make image")
    assert build.build(kafka.version) == IMAGE
    assert engine.image_id(IMAGE) == before


def test_the_image_is_what_the_recipe_counts_on(docker_client) -> None:
    if engine.image_id(IMAGE) is None:
        pytest.skip(f"the engine has no {IMAGE}: make image")
    config = docker_client.images.get(IMAGE).attrs["Config"]
    assert config["User"] == "appuser"
    assert list(config["Volumes"]) == ["/var/lib/kafka/data"]
    assert not config.get("Entrypoint")
    assert config["Cmd"] == ["/etc/kafka/docker/run"]
