"""The command ``python -m integrity.check``: exit status, words, JSON, and what makes a history unreadable."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from integrity.anomalies import CHECKS, HistoryUnreadable, check
from integrity.anomalies.catalogue import Check
from integrity.check import _run, main
from integrity.history import database
from integrity.history.schema import TABLES
from integrity.settings import Shard
from tests.histories import History, at, sound
from tests.test_anomalies import PLANTED


def lossy(lost: int = 1) -> History:
    history = sound(2)
    for offset in range(lost):
        history.send(2 + offset, sent=10)
    return history


def one_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return text.rstrip()


def test_an_intact_history_exits_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sound().save(tmp_path))]) == 0
    assert capsys.readouterr().out == "intact: 5 messages acknowledged, 5 records read\n"


def test_anomalies_exit_1_and_are_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = lossy()
    history.event(3, "broker 1", "ready")
    history.event(9, "broker 1", "killed", "SIGKILL")
    history.event(11, "broker 1", "ready")
    assert main([str(history.save(tmp_path))]) == 1
    assert capsys.readouterr().out == (
        "not intact: lost 1 (3 messages acknowledged, 2 records read)\n"
        "lost: 1 acknowledged message nobody read\n"
        "  - message 2 of publisher 0, acknowledged at offset 2 of t-0, was read by nobody: the brokers' files were "
        "not searched for it (last event before it: broker 1 killed (SIGKILL) at 12:00:09.000)\n"
    )


def test_json_is_the_contracts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = lossy(2)
    history.event(9, "broker 1", "killed")
    assert main(["--json", str(history.save(tmp_path))]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert set(verdict) == {"intact", "anomalies", "acknowledged", "read"}
    assert (verdict["intact"], verdict["acknowledged"], verdict["read"]) == (False, 4, 2)
    assert set(verdict["anomalies"]) == {"lost"}
    assert verdict["anomalies"]["lost"]["count"] == 2
    first = verdict["anomalies"]["lost"]["examples"][0]
    assert (first["topic"], first["partition"], first["offset"]) == ("t", 0, 2)
    assert (first["publisher"], first["sequence"]) == (0, 2)
    assert first["at"] == at(10).isoformat()
    assert first["fault"].startswith("broker 1 killed at ")
    assert "was read by nobody" in first["words"]


@pytest.mark.parametrize("name", CHECKS)
def test_one_anomaly_of_each_kind_is_named_and_no_other(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a user does with a saved history; ``test_anomalies`` has many more of them."""
    maker, count = next((maker, count) for kind, count, maker in PLANTED if kind == name)
    folder = str(maker().save(tmp_path))
    assert main([folder]) == 1
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"not intact: {name} {count} \(.* messages acknowledged, .* records read\)", first)
    assert second.startswith(f"{name}: {count} ")
    assert main(["--json", folder]) == 1
    found = json.loads(capsys.readouterr().out)["anomalies"]
    assert {kind: finding["count"] for kind, finding in found.items()} == {name: count}


def test_json_of_an_intact_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", str(sound().save(tmp_path))]) == 0
    assert json.loads(capsys.readouterr().out) == {"intact": True, "anomalies": {}, "acknowledged": 5, "read": 5}


def test_at_most_20_examples(tmp_path: Path) -> None:
    verdict = check(lossy(31).save(tmp_path))
    assert verdict.as_json()["anomalies"]["lost"]["count"] == 31
    assert len(verdict.as_json()["anomalies"]["lost"]["examples"]) == 20
    assert verdict.words().endswith("\n  - and 11 more")


def test_lost_on_disk_or_in_delivery(tmp_path: Path) -> None:
    history = lossy(3)
    history.on_disk(2, 0, 2)
    history.on_disk(3)
    words = check(history.save(tmp_path)).words()
    assert "offset 2 of t-0, was read by nobody: it is on disk but was never delivered" in words
    assert "offset 3 of t-0, was read by nobody: it is on disk but was never delivered" in words
    assert "offset 4 of t-0, was read by nobody: it was lost on disk" in words


def test_a_place_without_an_offset_is_said_without_one(tmp_path: Path) -> None:
    history = lossy(1)
    history.send().update(outcome="acknowledged", offset=None)
    assert "message 3 of publisher 0, acknowledged in t-0, was read by nobody" in check(history.save(tmp_path)).words()


def test_files_searched_and_empty(tmp_path: Path) -> None:
    assert "it was lost on disk" in check(lossy().table("on_disk").save(tmp_path)).words()


@pytest.mark.parametrize("made", [History, lambda: History().table("sends").table("reads")])
def test_an_empty_history_is_vacuous(made: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made().save(tmp_path)  # type: ignore[operator]
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == (
        "not intact: 0 messages acknowledged, 0 records read\n"
        "nothing was acknowledged: the verdict would be vacuous\n"
        "nothing was read: the verdict would be vacuous\n"
    )


def test_nothing_acknowledged_is_vacuous(tmp_path: Path) -> None:
    history = History()
    history.send(outcome="unknown")
    history.read(0, 0, 0)
    verdict = check(history.save(tmp_path))
    assert not verdict.intact
    assert verdict.as_json()["reasons"] == ["nothing was acknowledged: the verdict would be vacuous"]


def test_no_such_directory_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert one_line(printed.err).endswith("nowhere: no such directory")


def test_a_missing_column_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound().save(tmp_path)
    table = pq.read_table(tmp_path / "reads.parquet").drop_columns(["digest"])
    pq.write_table(table, tmp_path / "reads.parquet")
    assert main([str(tmp_path)]) == 2
    assert one_line(capsys.readouterr().err).endswith("reads.parquet: table reads has no column digest")


def test_a_column_missing_in_one_part_exits_2(tmp_path: Path) -> None:
    sound().save(tmp_path)
    (tmp_path / "reads").mkdir()
    pq.write_table(
        pq.read_table(tmp_path / "reads.parquet").drop_columns(["position"]), tmp_path / "reads/part-1.parquet"
    )
    with pytest.raises(HistoryUnreadable, match=r"part-1\.parquet: table reads has no column position"):
        check(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet at all, " * 100])
def test_a_damaged_file_exits_2(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound().save(tmp_path)
    (tmp_path / "reads.parquet").write_bytes(content)
    assert main([str(tmp_path)]) == 2
    assert one_line(capsys.readouterr().err).startswith("unreadable: ")


def test_damaged_pages_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound(5000).save(tmp_path)
    path = tmp_path / "reads.parquet"
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = b"\xff" * (len(content) // 2 - 4)
    path.write_bytes(bytes(content))
    assert main([str(tmp_path)]) == 2
    assert one_line(capsys.readouterr().err).startswith("unreadable: ")


def test_a_column_of_another_type_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound().save(tmp_path)
    table = pq.read_table(tmp_path / "reads.parquet")
    index = table.column_names.index("offset")
    table = table.set_column(index, "offset", pa.array(["first"] * len(table)))
    pq.write_table(table, tmp_path / "reads.parquet")
    assert main([str(tmp_path)]) == 2
    one_line(capsys.readouterr().err)


def test_an_outcome_nobody_knows_exits_2(tmp_path: Path) -> None:
    history = sound()
    history.rows["sends"][0]["outcome"] = "acked"
    with pytest.raises(
        HistoryUnreadable, match="table sends has the outcome 'acked', not one of acknowledged, rejected, unknown"
    ):
        check(history.save(tmp_path))


def test_optional_and_further_columns(tmp_path: Path) -> None:
    history = sound()
    history.transaction(1)
    history.save(tmp_path)
    table = pq.read_table(tmp_path / "transactions.parquet").drop_columns(["ending_at"])
    pq.write_table(table.append_column("note", pa.array(["x"])), tmp_path / "transactions.parquet")
    assert check(tmp_path).intact


def test_tables_in_parts(tmp_path: Path) -> None:
    sound(10).save(tmp_path)
    for name in ("sends", "reads"):
        table = pq.read_table(tmp_path / f"{name}.parquet")
        (tmp_path / f"{name}.parquet").unlink()
        (tmp_path / name).mkdir()
        pq.write_table(table.slice(0, 4), tmp_path / name / "part-00000.parquet")
        pq.write_table(table.slice(4), tmp_path / name / "part-00001.parquet")
        (tmp_path / name / ".part-00002.parquet").write_bytes(b"not whole yet")
    verdict = check(tmp_path)
    assert (verdict.intact, verdict.acknowledged, verdict.read) == (True, 10, 10)


def test_several_directories_are_one_history(tmp_path: Path) -> None:
    history = sound()
    sends, reads = History(), History()
    sends.rows["sends"] = history.rows["sends"]
    reads.rows["reads"] = history.rows["reads"]
    here, there = sends.save(tmp_path / "it's here"), reads.save(tmp_path / "there")
    assert check(here, there).intact
    assert main([str(here), str(there)]) == 0


def part(history: History, folder: Path, label: str) -> str:
    """The history as a recorder with that label writes it; returns its folder."""
    history.save(folder / label)
    for path in (folder / label).glob("*.parquet"):
        (folder / label / path.stem).mkdir()
        path.rename(folder / label / path.stem / f"part-{label}-00000.parquet")
    return str(folder / label)


def published(number: int) -> History:
    """By a publisher of that number, and read by a reader of the same."""
    history = History()
    sends = [history.send(offset, publisher=number, topic=f"of-{number}") for offset in range(3)]
    history.read_sent(sends, reader=number)
    return history


def shards(folder: Path, of: int, *numbers: int) -> list[str]:
    return [part(published(number), folder, Shard(number, of).label) for number in numbers]


SECOND_TO_21ST = ", ".join(map(str, range(2, 22)))


@pytest.mark.parametrize(
    ("of", "numbers", "words", "missing"),
    [
        (5, (1, 2, 4, 5), "shards 1, 2, 4, 5 of 5: shard 3 is missing", [3]),
        (3, (2,), "shard 2 of 3: shards 1, 3 are missing", [1, 3]),
        (2, (2, 1), "all 2 shards", []),
        (1, (1,), "the only shard", []),
        (
            23,
            (1,),
            f"shard 1 of 23: shards {', '.join(map(str, range(2, 22)))} and 2 more are missing",
            list(range(2, 24)),
        ),
    ],
)
def test_the_verdicts_line_says_which_shards_are_there(tmp_path: Path, capsys, of, numbers, words, missing) -> None:
    folders = shards(tmp_path, of, *numbers)
    assert main(folders) == 0
    count = 3 * len(numbers)
    said = f"intact: {count} messages acknowledged, {count} records read; {words}\n"
    assert capsys.readouterr().out == said
    assert main(["--json", *folders]) == 0
    told = {"there": sorted(numbers), "of": of, "missing": missing}
    assert json.loads(capsys.readouterr().out)["shards"] == told


def test_the_shards_stand_in_the_first_line_of_several(tmp_path: Path, capsys) -> None:
    assert main([part(lossy(), tmp_path, "shard1of2")]) == 1
    first, *more = capsys.readouterr().out.splitlines()
    assert first.endswith("records read); shard 1 of 2: shard 2 is missing")
    assert more


def test_shards_of_different_runs_are_refused(tmp_path: Path, capsys) -> None:
    folders = shards(tmp_path, 3, 1) + shards(tmp_path, 5, 2)
    assert main(folders) == 2
    assert one_line(capsys.readouterr().err) == ("unreadable: shard 1 of 3 and shard 2 of 5 are of different runs")


def test_two_histories_of_one_shard_are_refused_as_any_that_share_a_publisher(tmp_path: Path, capsys) -> None:
    folders = shards(tmp_path / "one", 3, 2) + shards(tmp_path / "another", 3, 2)
    assert main(folders) == 2
    assert "both have a publisher 2" in one_line(capsys.readouterr().err)


def test_shards_of_before_they_told_how_many_there_are_can_be_read(tmp_path: Path, capsys) -> None:
    assert main([part(published(number), tmp_path, f"shard{number}") for number in (1, 2)]) == 0
    assert capsys.readouterr().out == "intact: 6 messages acknowledged, 6 records read\n"


@pytest.mark.parametrize("name", ["run[1]", "run*", "run?", "[!a]un1", "run{1,2}"])
def test_a_folder_of_any_name_is_that_folder_and_no_other(name: str, tmp_path: Path) -> None:
    """What DuckDB would take for a pattern: it would read the folders that fit it."""
    folder = sound().save(tmp_path / name)
    lossy().save(tmp_path / "run1")
    assert check(folder).intact
    assert check(folder, published(7).save(tmp_path / "other")).intact


@pytest.mark.parametrize("what", ["publisher", "reader"])
def test_parts_that_share_a_publisher_or_a_reader_are_refused(what: str, tmp_path: Path, capsys) -> None:
    other = History()
    sends = [other.send(offset, publisher=0 if what == "publisher" else 7, topic="other") for offset in range(3)]
    other.read_sent(sends, reader=0 if what == "reader" else 7)
    folders = [str(sound().save(tmp_path / "one")), str(other.save(tmp_path / "two"))]
    assert main(folders) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert f"both have a {what} 0" in line
    assert "shard" in line


def test_a_directory_named_twice_is_refused(tmp_path: Path) -> None:
    folder = sound().save(tmp_path / "one")
    with pytest.raises(HistoryUnreadable, match="is named twice"):
        check(folder, folder / ".." / "one")


def test_a_master_is_for_spark(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--master", "spark://nowhere:7077", str(sound().save(tmp_path))])
    assert "--engine spark" in capsys.readouterr().err


def test_no_directory_is_no_history() -> None:
    with pytest.raises(HistoryUnreadable, match="no history directory was named"):
        check()


def test_every_table_may_be_there_without_rows(tmp_path: Path) -> None:
    history = sound()
    for name in TABLES:
        if name != "ends":
            history.table(name)
    assert check(history.save(tmp_path)).intact


def test_a_further_file_is_a_further_check(tmp_path: Path) -> None:
    path = tmp_path / "even_offset.sql"
    path.write_text(
        "-- even_offset: an offset is even.\nSELECT r.topic, r.offset FROM reads r\n"
        "WHERE r.offset % 2 = 0 ORDER BY r.offset\n"
    )
    verdict = check(sound().save(tmp_path / "history"), checks={"even_offset": Check.read(path)})
    assert verdict.words().splitlines()[1:3] == [
        "even_offset: 3 findings",
        "  - topic t, offset 0 (no fault was recorded)",
    ]


def test_little_memory_is_enough_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spill = tmp_path / "spill"
    spill.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spill))
    monkeypatch.setattr(database, "SMALL_BYTES", 0)
    history = sound(20_000)
    history.send(20_000)
    verdict = check(history.save(tmp_path / "history"), memory="40MB", threads=1)
    assert verdict.count("lost") == 1
    assert list(spill.iterdir()) == []


def test_the_command_itself(tmp_path: Path) -> None:
    lossy().save(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "integrity.check", str(tmp_path)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "lost: 1 acknowledged message nobody read" in ended.stdout


def test_a_mistake_of_the_check_has_not_the_status_of_anomalies(tmp_path: Path, monkeypatch, capsys) -> None:
    def mistaken(*_: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr("integrity.check.main", mistaken)
    assert _run() == 2
    assert "ZeroDivisionError: a mistake" in capsys.readouterr().err
