"""An engine whose socket is mounted into a container publishes where that container cannot connect."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrity.brokers import choice, engine, reach
from integrity.settings import Settings
from tests.fake_engine import FakeEngine, fake_engine, says

ROOT = Path(__file__).parent.parent


def bridge(*gateways: str) -> object:
    return says({"Name": "bridge", "Id": "0", "IPAM": {"Config": [{"Gateway": each} for each in gateways]}})


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeEngine]:
    """An engine of another machine, by a socket; and this process is in a container."""
    mark = tmp_path / "mark"
    mark.touch()
    monkeypatch.setattr(reach, "MARKS", (str(tmp_path / "none"), str(mark)))
    monkeypatch.delenv(reach.KUBERNETES, raising=False)
    # A socket's name must be short, and on macOS pytest's folder's is not.
    with tempfile.TemporaryDirectory(dir="/tmp") as short, fake_engine(Path(short, "docker.sock")) as fake:
        fake.answers |= {"/info": says({"Name": "the-engines-machine"}), "/networks/bridge": bridge("192.0.2.1")}
        monkeypatch.setenv("DOCKER_HOST", fake.address)
        yield fake


def test_in_a_container_beside_the_engines_own_auto_takes_the_embedded_broker(mounted: FakeEngine) -> None:
    expected = f"this is a container, and the engine at {mounted.address} is outside of it: brokers are published on "
    chosen = choice.choose(Settings())
    assert chosen.kind == "embedded"
    assert chosen.reason.endswith(f"{expected}the loopback of the engine's machine")
    with pytest.raises(engine.NoEngine, match=r"is outside of it: .*--network=host\); -D broker=embedded needs none$"):
        choice.choose(Settings(broker="docker"))


def test_an_engine_without_a_default_network_is_as_far_away(mounted: FakeEngine) -> None:
    del mounted.answers["/networks/bridge"]
    with pytest.raises(engine.NoEngine, match="is outside of it"):
        engine.engine()


def test_a_pod_is_a_container(monkeypatch: pytest.MonkeyPatch, mounted: FakeEngine) -> None:
    monkeypatch.setattr(reach, "MARKS", ())
    engine.engine().close()
    monkeypatch.setenv(reach.KUBERNETES, "192.0.2.2")
    with pytest.raises(engine.NoEngine, match="is outside of it"):
        engine.engine()


def test_an_engine_of_the_same_name_is_in_the_same_network(mounted: FakeEngine) -> None:
    """In the same container or pod; or the container has the network, and by it the name, of the engine's machine."""
    mounted.answers["/info"] = says({"Name": socket.gethostname()})
    engine.engine().close()


def test_an_engine_whose_bridge_is_here_is_in_the_same_network(mounted: FakeEngine) -> None:
    """As for a container that has the machine's network and a name of its own (toolbox, distrobox)."""
    mounted.answers["/networks/bridge"] = bridge("192.0.2.1", "127.0.0.1")
    engine.engine().close()


def test_outside_of_containers_the_engine_is_not_asked(monkeypatch: pytest.MonkeyPatch, mounted: FakeEngine) -> None:
    """A virtual machine's engine has another name, and what it publishes is passed on to this machine's loopback."""
    monkeypatch.setattr(reach, "MARKS", ())
    engine.engine().close()
    assert not [path for path in mounted.asked if path.endswith("/info")]


def test_a_real_engine_is_out_of_reach_from_another_network(docker_client, tmp_path: Path) -> None:
    """A network and a name of its own are what a container has; the engine's socket is there as well."""
    if not engine.address().startswith("unix://") or not shutil.which("unshare") or os.geteuid():
        pytest.skip("needs an engine at a socket of this machine, unshare and root")
    (tmp_path / "mark").touch()
    code = (
        "import sys; from integrity.brokers import engine, reach; reach.MARKS = sys.argv[1:];"
        "from docker import from_env; print(reach.is_out_of_reach(from_env()))"
    )

    def told(*apart: str) -> str:
        renamed = 'hostname elsewhere; exec "$@"' if "--uts" in apart else 'exec "$@"'
        words = [sys.executable, "-c", code, str(tmp_path / "mark")]
        return subprocess.run(
            ["unshare", *apart, "--", "sh", "-c", renamed, "sh", *words],
            env=os.environ | {"DOCKER_HOST": engine.address()},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.strip()

    assert told("--mount") == "False"
    assert told("--uts") == "False", "it has the address of the engine's bridge"
    assert told("--net") == "False", "it has the name, as in a pod with the engine beside it"
    assert told("--net", "--uts") == "True"
