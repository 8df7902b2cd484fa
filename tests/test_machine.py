"""How much of the machine there is: what a container may take, not what its machine has."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from integrity import machine
from integrity.brokers import kinds
from integrity.machine import Room
from integrity.side_by_side import features
from tests.fake_engine import FakeEngine, fails, says

GIB = 1 << 30
#: What version 1 has where there is no limit.
NO_LIMIT = "9223372036854771712"

#: The folder below the one of all control groups, and what is in its files.
V2 = {
    "cpu.max": "150000 100000\n",
    "memory.max": f"{4 * GIB}\n",
    "memory.current": f"{3 * GIB}\n",
    "memory.stat": f"anon {2 * GIB}\ninactive_file {GIB // 2}\nactive_file {GIB // 4}\nslab_reclaimable {GIB // 4}\n",
}
V1_PROCESSORS = {"cpu.cfs_quota_us": "50000\n", "cpu.cfs_period_us": "100000\n"}
V1_MEMORY = {
    "memory.limit_in_bytes": f"{2 * GIB}\n",
    "memory.usage_in_bytes": f"{GIB}\n",
    "memory.stat": f"cache {GIB}\ninactive_file 0\ntotal_inactive_file {GIB // 4}\ntotal_active_file {GIB // 4}\n",
}


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 processors with 64 GiB to be had."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 64 * GIB}))


def room(folder: Path, own: str, groups: dict[str, dict[str, str]]) -> Room:
    """What there is where these are the control groups, by folder, and ``own`` says which are this process's."""
    for name, files in groups.items():
        (folder / "groups" / name).mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / "groups" / name / file).write_text(content)
    (folder / "own").write_text(own)
    return machine.room(folder / "groups", folder / "own")


def test_a_machine_without_control_groups_gives_what_it_has(tmp_path: Path) -> None:
    assert machine.room(tmp_path, tmp_path / "none") == Room(64, 64 * GIB)


def test_a_containers_limits_of_version_2(tmp_path: Path) -> None:
    assert room(tmp_path, "0::/\n", {".": V2}) == Room(1.5, 2 * GIB)


def test_the_limits_of_what_a_group_is_in_hold_as_well(tmp_path: Path) -> None:
    """A systemd unit, or a process that has a group of its own in a container."""
    own = {"cpu.max": "max 100000\n", "memory.max": "max\n"}
    assert room(tmp_path, "0::/slice/unit\n", {"slice": V2, "slice/unit": own}) == Room(1.5, 2 * GIB)
    assert room(tmp_path, "0::/other\n", {"other": own}) == Room(64, 64 * GIB)


@pytest.mark.parametrize("path", ["/", "/docker/0123"], ids=["its own view", "the path outside"])
def test_a_containers_limits_of_version_1(tmp_path: Path, path: str) -> None:
    own = f"4:memory:{path}\n2:cpu,cpuacct:{path}\n1:name=systemd:{path}\n0::/\n"
    assert room(tmp_path, own, {"cpu": V1_PROCESSORS, "memory": V1_MEMORY}) == Room(0.5, GIB * 3 // 2)


def test_version_1_without_limits(tmp_path: Path) -> None:
    own = "4:memory:/\n2:cpu:/\n"
    memory, processors = {"memory.limit_in_bytes": NO_LIMIT}, {"cpu.cfs_quota_us": "-1\n"}
    groups = {"cpu": V1_PROCESSORS | processors, "memory": V1_MEMORY | memory}
    assert room(tmp_path, own, groups) == Room(64, 64 * GIB)


def test_a_group_that_has_used_up_its_memory(tmp_path: Path) -> None:
    assert room(tmp_path, "0::/", {".": V2 | {"memory.current": f"{6 * GIB}"}}).memory == 0


@pytest.mark.parametrize(
    ("files", "left_out", "expected"),
    [
        (V2, "memory.stat", Room(1.5, GIB)),
        (V2, "memory.current", Room(1.5, 64 * GIB)),
        (V1_PROCESSORS | V1_MEMORY, "memory.stat", Room(0.5, GIB)),
        (V1_PROCESSORS | V1_MEMORY, "memory.usage_in_bytes", Room(0.5, 64 * GIB)),
        (V1_PROCESSORS | V1_MEMORY, "cpu.cfs_period_us", Room(64, GIB * 3 // 2)),
    ],
)
def test_a_file_that_a_sandbox_leaves_out_is_no_error(tmp_path: Path, files, left_out: str, expected: Room) -> None:
    """Protects from a run that ends before its first scenario because it wanted to know how much there is (gVisor)."""
    there = {name: content for name, content in files.items() if name != left_out}
    assert room(tmp_path, "0::/\n", {".": there}) == expected


def test_what_cannot_be_read_or_understood_is_no_error(tmp_path: Path) -> None:
    """A group that has gone meanwhile has files that cannot be read, as a folder cannot."""
    (tmp_path / "groups" / "cpu.max").mkdir(parents=True)
    assert room(tmp_path, "0::/\n", {".": {"memory.max": "what?\n", "memory.current": "1\n"}}) == Room(64, 64 * GIB)
    (tmp_path / "own").unlink()
    (tmp_path / "own").mkdir()
    assert machine.room(tmp_path / "groups", tmp_path / "own") == Room(64, 64 * GIB)


def test_this_machines_own_control_groups_can_be_read() -> None:
    found = machine.room()
    assert 0 < found.processors <= 64
    assert 0 <= found.memory <= 64 * GIB


def test_as_many_features_at_a_time_as_there_is_room_for() -> None:
    assert features.fitting(1.5, Room(64, 64 * GIB)) == features.MOST_WORKERS
    assert features.fitting(1.5, Room(2, 64 * GIB)) == 3
    assert features.fitting(1.5, Room(64, 5 * GIB)) == 2
    assert features.fitting(1.5, Room(0.5, GIB)) == 1


def test_with_containers_there_is_no_more_than_the_engine_has(fake: FakeEngine, monkeypatch) -> None:
    """It may be in a virtual machine, with a part of this one's processors and memory."""
    monkeypatch.setattr(machine, "room", lambda: Room(8, 16 * GIB))
    fake.answers["/info"] = says({"NCPU": 2, "MemTotal": 32 * GIB})
    assert kinds.load("docker").room() == Room(2, 16 * GIB)
    assert kinds.load("embedded").room() == Room(8, 16 * GIB)


def test_an_engine_that_cannot_tell_what_it_has_is_no_error_yet(fake: FakeEngine, monkeypatch) -> None:
    monkeypatch.setattr(machine, "room", lambda: Room(8, 16 * GIB))
    fake.answers["/info"] = fails
    assert kinds.load("docker").room() == Room(8, 16 * GIB)
