"""An engine that goes away or fails costs no run: what cannot be removed now is told in a line and left to the next."""

from __future__ import annotations

import uuid
from pathlib import Path
from urllib.parse import unquote

import pytest

from integrity import mounts, progress, runs
from integrity.brokers import engine
from integrity.errors import NotPossible, Unavailable
from integrity.runs import Run
from tests.fake_engine import FakeEngine, breaks_off, fails, hangs_up, says

#: A container as an engine lists it.
CONTAINER = {"Id": "0123", "Names": ["/kafka-integrity-x-1"]}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(progress, "say", lines.append)
    return lines


def dead_run(base: Path) -> Path:
    """The folder of a run that is dead and has used an engine."""
    for folder in ("runs", "locks", "ports"):
        (base / folder).mkdir(exist_ok=True)
    folder = base / "runs" / uuid.uuid4().hex
    folder.mkdir()
    (folder / runs.DOCKER_MARK).touch()
    return folder


def assert_swept(base: Path, folder: Path, fake: FakeEngine) -> None:
    """That a sweep takes the folder now, and has asked the engine for this run's containers."""
    fake.answers.clear()
    fake.asked.clear()
    [words] = runs.sweep(base)
    assert words.endswith(f"{folder}: removed")
    assert any(f"{engine.LABEL}={folder.name}" in unquote(path) for path in fake.asked if "/containers/json" in path)
    assert list((base / "runs").iterdir()) == []
    assert list((base / "locks").iterdir()) == []


def test_containers_that_a_run_could_not_remove_at_its_end_are_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeEngine, said: list[str]
) -> None:
    """Protects from a run that forgets its containers because the engine went away while it ended."""
    run = Run(tmp_path)
    run.uses_docker()
    (run.directory / "secret").write_text("a key")
    port = run.lease_port()
    with monkeypatch.context() as away:
        away.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
        run.end()
    assert [path.name for path in run.directory.iterdir()] == [runs.DOCKER_MARK], "only the mark is of use to a sweep"
    assert not (tmp_path / "ports" / str(port)).exists()
    [line] = said
    assert str(run.directory) in line
    assert "a later run will try again" in line
    assert "\n" not in line
    assert_swept(tmp_path, run.directory, fake)


def test_a_run_that_ends_asks_the_engine_for_what_is_left(tmp_path: Path, fake: FakeEngine, said: list[str]) -> None:
    """Though every broker was discarded: one whose discard failed would be forgotten otherwise."""
    run = Run(tmp_path)
    run.uses_docker()
    fake.answers["/containers/json"] = says([CONTAINER])
    fake.answers[f"/containers/{CONTAINER['Id']}"] = says({})
    run.end()
    assert any(f"/containers/{CONTAINER['Id']}?" in path for path in fake.asked)
    assert not run.directory.exists()
    assert said == []


@pytest.mark.parametrize("names", [[], None])
def test_a_container_without_a_name_is_removed_as_well(fake: FakeEngine, names: list[str] | None) -> None:
    """One that the engine calls dead has none: its removal had failed halfway, and the name was free already."""
    fake.answers["/containers/json"] = says([{"Id": "0123456789abcdef", "Names": names}])
    fake.answers["/containers/0123456789abcdef"] = says({})
    assert engine.remove_leftovers("0").containers == ["0123456789ab"]


@pytest.mark.parametrize("failure", ["an error", "no answer", "a lost connection", "an error while removing"])
def test_an_engine_that_fails_does_not_hold_up_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeEngine, said: list[str], failure: str
) -> None:
    monkeypatch.setattr(engine, "REQUEST_SECONDS", 0.3)
    fake.answers |= {
        "an error": {"/containers/json": fails},
        "no answer": {"/containers/json": fake.is_silent},
        "a lost connection": {"/containers/json": hangs_up},
        "an error while removing": {"/containers/json": says([CONTAINER]), f"/containers/{CONTAINER['Id']}": fails},
    }[failure]
    folder = dead_run(tmp_path)
    assert runs.sweep(tmp_path) == []
    [words] = said
    assert str(folder) in words
    assert "a later run will try again: the engine could not remove" in words
    assert "\n" not in words
    assert_swept(tmp_path, folder, fake)


def test_a_busy_mount_does_not_hold_up_a_run(tmp_path: Path, fake: FakeEngine, said: list[str]) -> None:
    folder = dead_run(tmp_path)
    (folder / "disk").mkdir()
    try:
        mounts.mount_small(folder / "disk", 1)
    except NotPossible as reason:
        pytest.skip(str(reason))
    try:
        with open(folder / "disk" / "in use", "w"):
            assert runs.sweep(tmp_path) == []
        [words] = said
        assert "a later run will try again" in words
        assert "cannot be unmounted" in words
        assert_swept(tmp_path, folder, fake)
    finally:
        mounts.unmount_below(tmp_path)


@pytest.mark.parametrize("failure", ["silence", "an error", "a lost connection", "one in the middle"])
def test_a_pull_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, fake: FakeEngine, failure: str) -> None:
    monkeypatch.setattr(engine, "PULL_SECONDS", 0.3)
    fake.answers["/images/create"] = {
        "silence": fake.stops_in_the_middle,
        "an error": fails,
        "a lost connection": hangs_up,
        "one in the middle": breaks_off,
    }[failure]
    with pytest.raises(Unavailable, match=r"somebodys/kafka:1 cannot be had: .*-D image=kafka-integrity/") as caught:
        engine.obtain_image("somebodys/kafka:1")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "marks"),
    [
        ({}, "id 0123456789ab"),
        ({"RepoDigests": []}, "id 0123456789ab"),
        (
            {"RepoDigests": ["somebodys/kafka@sha256:fedcba9876543210", "mirror/kafka@sha256:00"]},
            "id 0123456789ab, digest fedcba987654",
        ),
    ],
)
def test_an_image_is_told_by_more_than_its_name(fake: FakeEngine, more: dict[str, object], marks: str) -> None:
    fake.answers["/images/somebodys/kafka:1/json"] = says({"Id": "sha256:0123456789abcdef", **more})
    assert engine.described("somebodys/kafka:1") == f"somebodys/kafka:1 ({marks})"


def test_an_image_that_is_gone_meanwhile_is_one_line(fake: FakeEngine) -> None:
    with pytest.raises(Unavailable, match="the engine tells of no image: No such image"):
        engine.described("somebodys/kafka:1")


def test_an_image_is_told_by_its_name_where_the_engine_does_not_answer(fake: FakeEngine) -> None:
    fake.answers["/images/somebodys/kafka:1/json"] = fails
    assert engine.described("somebodys/kafka:1") == "somebodys/kafka:1"


def test_an_engine_that_cannot_tell_of_its_images_is_one_line(fake: FakeEngine) -> None:
    fake.answers["/images/somebodys/kafka:1/json"] = fails
    with pytest.raises(Unavailable, match="it is broken and stays so"):
        engine.has_image("somebodys/kafka:1")
