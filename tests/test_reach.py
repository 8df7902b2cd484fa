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
from docker import DockerClient

from integrity.brokers import choice, engine, reach
from integrity.settings import Settings
from tests.fake_engine import FakeEngine, fake_engine, says

ROOT = Path(__file__).parent.parent
IMAGE = f"{engine.OWN_IMAGES}kafka:{Settings().kafka}"


def bridge(*gateways: str) -> object:
    return says({"Name": "bridge", "Id": "0", "IPAM": {"Config": [{"Gateway": each} for each in gateways]}})


ID = "0123456789abcdef" * 4


def lists(fake: FakeEngine, network: str = "bridge", address: str = "192.0.2.7") -> None:
    """Have the engine run one container."""
    has = {"Networks": {network: {"IPAddress": address, "GlobalIPv6Address": ""}}}
    fake.answers["/containers/json"] = says(
        [{"Id": "f" * 64, "NetworkSettings": None}, {"Id": ID, "NetworkSettings": has}]
    )
    fake.answers[f"/containers/{ID}/json"] = says({"Id": ID, "HostConfig": {"NetworkMode": network}})


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeEngine]:
    """An engine of another machine, by a socket; and this process has the mark of a container."""
    mark = tmp_path / "mark"
    mark.touch()
    monkeypatch.setattr(reach, "MARKS", (str(tmp_path / "none"), str(mark)))
    monkeypatch.setattr(reach, "MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(reach, "OWN_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(reach, "_own_addresses", lambda: {"127.0.0.1", "192.0.2.3"})
    monkeypatch.delenv(reach.KUBERNETES, raising=False)
    # A socket's name must be short, and on macOS pytest's folder's is not.
    with tempfile.TemporaryDirectory(dir="/tmp") as short, fake_engine(Path(short, "docker.sock")) as fake:
        fake.answers |= {"/info": says({"Name": "the-engines-machine"}), "/networks/bridge": bridge("192.0.2.1")}
        lists(fake)
        monkeypatch.setenv("DOCKER_HOST", fake.address)
        yield fake


def is_the_container(monkeypatch: pytest.MonkeyPatch, by: str, fake: FakeEngine) -> None:
    """Let this process be in the one that the engine lists, and be told so in this way alone."""
    if by == "name":
        monkeypatch.setattr(reach.socket, "gethostname", lambda: ID[:12])
    elif by == "address":
        lists(fake, address="192.0.2.3")
    elif by == "mounts":
        reach.MOUNTS.write_text(
            "1 0 0:1 / / rw - overlay overlay rw\n"
            f"2 1 8:1 /var/lib/docker/containers/{ID}/hosts /etc/hosts rw,relatime - ext4 /dev/vda1 rw\n"
        )
    elif by == "groups":
        reach.OWN_GROUPS.write_text(f"4:memory:/docker/{ID}\n0::/\n")


WAYS = ("name", "address", "mounts", "groups")


@pytest.mark.parametrize("by", WAYS)
def test_in_a_container_beside_the_engines_own_auto_takes_the_embedded_broker(mounted, monkeypatch, by: str) -> None:
    is_the_container(monkeypatch, by, mounted)
    expected = f"this is a container, and the engine at {mounted.address} is outside of it: brokers are published on "
    chosen = choice.choose(Settings())
    assert chosen.kind == "embedded"
    assert chosen.reason.endswith(f"{expected}the loopback of the engine's machine")
    with pytest.raises(engine.NoEngine, match=r"is outside of it: .*--network=host\); -D broker=embedded needs none$"):
        choice.choose(Settings(broker="docker"))


@pytest.mark.parametrize("by", WAYS)
def test_a_container_that_has_the_network_of_the_engines_machine_reaches_it(mounted, monkeypatch, by: str) -> None:
    """As those of toolbox and distrobox do, which have names of their own."""
    is_the_container(monkeypatch, by, mounted)
    lists(mounted, "host", "")
    engine.engine().close()


@pytest.mark.parametrize(("of_the_other", "out_of_reach"), [("host", False), ("bridge", True)])
def test_a_container_may_have_its_network_from_another_one(mounted, monkeypatch, of_the_other, out_of_reach) -> None:
    is_the_container(monkeypatch, "name", mounted)
    lists(mounted, "container:other", "")
    mounted.answers["/containers/other/json"] = says({"Id": "other", "HostConfig": {"NetworkMode": of_the_other}})
    client = docker_of(mounted)
    assert reach.is_out_of_reach(client) is out_of_reach
    client.close()


def docker_of(fake: FakeEngine) -> DockerClient:
    return DockerClient(base_url=fake.address)


def test_what_only_looks_like_a_container_reaches_the_engine(mounted: FakeEngine) -> None:
    """Protects people on WSL, whose distribution was imported from a container's files and has such a mark; the engine
    has another name and its bridge is elsewhere, but what it publishes is passed on to loopback. And in toolbox, where
    the machine's own mounts are seen, and whatever other containers have there.
    """
    reach.MOUNTS.write_text(
        f"1 0 0:1 / /run/host/var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw\n"
        "2 1 8:1 /etc/hosts /etc/hosts rw - ext4 /dev/vda1 rw\n"
    )
    reach.OWN_GROUPS.write_text("0::/init.scope\n")
    engine.engine().close()


def test_a_container_that_the_engine_does_not_run_is_not_told_that_it_is_out_of_reach(mounted: FakeEngine) -> None:
    """As in the container in which the engine runs."""
    mounted.answers["/containers/json"] = says([])
    engine.engine().close()


def test_a_pod_is_out_of_the_network_of_its_machines_engine(monkeypatch, mounted: FakeEngine) -> None:
    monkeypatch.setattr(reach, "MARKS", ())
    engine.engine().close()
    monkeypatch.setenv(reach.KUBERNETES, "192.0.2.2")
    with pytest.raises(engine.NoEngine, match="is outside of it"):
        engine.engine()
    del mounted.answers["/networks/bridge"]
    with pytest.raises(engine.NoEngine, match="is outside of it"):
        engine.engine()


def test_a_pod_reaches_an_engine_of_its_own(monkeypatch: pytest.MonkeyPatch, mounted: FakeEngine) -> None:
    """It has the pod's name. So has one whose machine's network, and by it the name, the pod has."""
    monkeypatch.setenv(reach.KUBERNETES, "192.0.2.2")
    mounted.answers["/info"] = says({"Name": socket.gethostname()})
    engine.engine().close()


def test_a_pod_reaches_an_engine_whose_bridge_it_has(monkeypatch: pytest.MonkeyPatch, mounted: FakeEngine) -> None:
    monkeypatch.setenv(reach.KUBERNETES, "192.0.2.2")
    mounted.answers["/networks/bridge"] = bridge("192.0.2.1", "127.0.0.1")
    engine.engine().close()


def test_outside_of_containers_the_engine_is_not_asked(monkeypatch: pytest.MonkeyPatch, mounted: FakeEngine) -> None:
    """A virtual machine's engine has another name, and what it publishes is passed on to this machine's loopback."""
    monkeypatch.setattr(reach, "MARKS", ())
    engine.engine().close()
    assert not [path for path in mounted.asked if path.endswith(("/info", "/json"))]


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_a_real_engine_tells_which_of_its_containers_this_is(
    docker_client, run, tmp_path, monkeypatch, network
) -> None:
    if not engine.has_image(IMAGE):
        pytest.skip(f"the engine has no {IMAGE}: make image")
    run.uses_docker()
    container = docker_client.containers.run(
        IMAGE, ["600"], entrypoint="sleep", detach=True, network_mode=network, labels={engine.LABEL: run.id}
    )
    try:
        (tmp_path / "mark").touch()
        monkeypatch.setattr(reach, "MARKS", (str(tmp_path / "mark"),))
        monkeypatch.delenv(reach.KUBERNETES, raising=False)
        assert not reach.is_out_of_reach(docker_client)
        monkeypatch.setattr(reach.socket, "gethostname", lambda: container.id[:12])
        assert reach.is_out_of_reach(docker_client) is (network != "host")
    finally:
        container.remove(force=True, v=True)


def test_a_real_engine_is_out_of_reach_from_a_pod_of_another_network(docker_client) -> None:
    """A network and a name of its own are what a pod has; the engine's socket is there as well."""
    if not engine.address().startswith("unix://") or not shutil.which("unshare") or not shutil.which("hostname"):
        pytest.skip("needs an engine at a socket of this machine, unshare and hostname")
    able = subprocess.run(["unshare", "--mount", "--net", "--uts", "true"], capture_output=True, text=True)
    if able.returncode:  # also as root, in a container
        pytest.skip(able.stderr.strip())
    code = "from integrity.brokers import reach; from docker import from_env; print(reach.is_out_of_reach(from_env()))"

    def told(*apart: str) -> str:
        renamed = 'hostname elsewhere; exec "$@"' if "--uts" in apart else 'exec "$@"'
        return subprocess.run(
            ["unshare", *apart, "--", "sh", "-c", renamed, "sh", sys.executable, "-c", code],
            env=os.environ | {"DOCKER_HOST": engine.address(), reach.KUBERNETES: "192.0.2.2"},
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
