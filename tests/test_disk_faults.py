"""Faults of a broker's disk: what they change, what they refuse to touch, and what is made of the broker's answer.

No broker runs here.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from kafka.record.default_records import DefaultRecordBatchBuilder

from integrity import mounts
from integrity.brokers.base import BrokerFailed
from integrity.brokers.kraft import CLUSTER_ID
from integrity.clients.base import Connection
from integrity.errors import NotPossible
from integrity.faults import process
from integrity.faults.disk import DataFiles, checkpoints, damage, own_files, power, replacement, segments
from integrity.faults.disk.files import Refused, prove_own
from integrity.faults.process import DoesNotComeBack, FaultNotProven
from integrity.scenes import disk_faults
from integrity.scenes.replaced_disk import ReplacedDisk
from integrity.scenes.replication import PassedOn

INDEX_BYTES = 1000


class Down:
    """A broker as a fault sees it: down, or running; its files in a folder."""

    kind, label = "embedded", "broker 1"

    def __init__(self, folder: Path, alive: bool = False) -> None:
        self.folder, self.alive = folder, alive
        self.logged = "what it logged before, since clean shutdown file was found\n"

    def is_alive(self) -> bool:
        return self.alive

    def files(self):
        return nullcontext(self.folder)

    def log_mark(self) -> int:
        return len(self.log())

    def log(self, mark: int = 0) -> str:
        return self.logged[mark:]

    def peek(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


class Harmed:
    """A scene as a fault sees it. Its broker logs ``logs`` at its start; stop, start: what goes wrong with either."""

    def __init__(self, folder: Path, *, logs: str = "", stop: str = "", start: str = "") -> None:
        self.broker = Down(folder)
        self.topics = ["orders"]
        self.facts = SimpleNamespace(numbers={})
        self._logs, self._stop, self._start = logs, stop, start

    def note(self, subject: str, what: str, detail: str = "") -> None:
        """Nobody reads it."""

    def restart(self, how: str, while_down) -> None:
        if self._stop:
            raise BrokerFailed(self._stop)
        while_down()
        self.broker.logged += self._logs
        if self._start:
            raise DoesNotComeBack(f"broker 1 does not come back: {self._start}")


def a_batch(base_offset: int, records: int = 3) -> bytes:
    """A batch of records as it lies in a segment, 100 bytes of value each."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=False,
        producer_id=1, producer_epoch=0, base_sequence=base_offset, batch_size=1 << 20,
    )  # fmt: skip
    for number in range(records):
        builder.append(number, timestamp=1, key=None, value=bytes(100), headers=[])
    content = bytes(builder.build())
    return base_offset.to_bytes(8) + content[8:]


def a_partition(root: Path, name: str, batches: int, base: int = 0) -> Path:
    """A segment of so many batches of three records, beginning at offset ``base``, with its indexes and a snapshot."""
    folder = root / name
    folder.mkdir(exist_ok=True)
    segment = folder / f"{base:020d}.log"
    segment.write_bytes(b"".join(a_batch(base + 3 * number) for number in range(batches)))
    for suffix in (".index", ".timeindex", ".snapshot"):
        segment.with_suffix(suffix).write_bytes(b"\1" * INDEX_BYTES)
    return segment


@pytest.fixture
def data(run, tmp_path_factory) -> Path:
    """A data directory of the run's, with one partition of four batches."""
    root = run.directory / tmp_path_factory.mktemp("data").name
    root.mkdir()
    (root / "meta.properties").write_text(f"version=1\ncluster.id={CLUSTER_ID}\nnode.id=1\n")
    a_partition(root, "orders-0", 4)
    return root


# -- what may be touched --------------------------------------------------------------------------------
def test_the_files_of_a_running_broker_are_refused(data):
    with pytest.raises(Refused, match="runs"), own_files(Down(data, alive=True)):
        pass


def test_a_folder_outside_the_runs_is_refused(tmp_path):
    (tmp_path / "meta.properties").write_text(f"cluster.id={CLUSTER_ID}\n")
    with pytest.raises(Refused, match="not a folder of this suite"), own_files(Down(tmp_path)):
        pass


def test_a_folder_of_another_cluster_is_refused(data):
    (data / "meta.properties").write_text("cluster.id=somebody-elses-cluster\n")
    with pytest.raises(Refused, match="cluster"):
        prove_own(data)


def test_a_link_that_leads_out_is_refused(data, tmp_path):
    outside = a_partition(tmp_path, "theirs-0", 2)
    before = outside.read_bytes()
    (data / "theirs-0").symlink_to(outside.parent)
    with pytest.raises(Refused, match="not inside"):
        power.lose_unflushed(DataFiles(data))
    assert outside.read_bytes() == before


def test_a_broker_without_files_is_a_reason_to_skip():
    class External:
        kind = "external"

    with pytest.raises(NotPossible, match="external"), own_files(External()):
        pass


# -- checkpoints and segments ---------------------------------------------------------------------------
def test_checkpoints_are_read_as_they_are_written():
    offsets = {("a topic", 0): 5, ("b", 12): 0}
    assert checkpoints.parse(checkpoints.render(offsets)) == offsets
    assert checkpoints.parse("") == {}
    with pytest.raises(ValueError, match="not an offset checkpoint"):
        checkpoints.parse("0\n2\ntopic 0 5\n")


def test_batches_end_where_a_batch_is_torn_or_damaged(data):
    segment = data / "orders-0" / f"{0:020d}.log"
    whole = segments.batches(segment)
    assert [(b.base_offset, b.last_offset) for b in whole] == [(0, 2), (3, 5), (6, 8), (9, 11)]
    content = bytearray(segment.read_bytes())
    segment.write_bytes(content[: whole[3].position + 20])
    assert len(segments.batches(segment)) == 3
    content[whole[1].position + 70] ^= 1
    segment.write_bytes(content)
    assert len(segments.batches(segment)) == 1


# -- power ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("remains", power.REMAINS)
def test_a_power_loss_keeps_what_was_flushed_and_nothing_more(data, remains):
    segment = data / "orders-0" / f"{0:020d}.log"
    (data / checkpoints.RECOVERY_POINT).write_text(checkpoints.render({("orders", 0): 6}))
    cuts = power.lose_unflushed(DataFiles(data), remains)
    assert [(cut.partition, cut.offset, cut.batches) for cut in cuts] == [(("orders", 0), 6, 2)]
    assert [batch.base_offset for batch in segments.batches(segment)] == [0, 3]
    assert segment.with_suffix(".index").read_bytes() == bytes(INDEX_BYTES)


def test_a_power_loss_takes_whole_files_that_were_never_flushed(data):
    later = a_partition(data, "orders-0", 2, base=12)
    (data / checkpoints.RECOVERY_POINT).write_text(checkpoints.render({("orders", 0): 9}))
    assert power.lose_unflushed(DataFiles(data))[0].batches == 3
    assert not later.exists()
    assert not later.with_suffix(".index").exists()


def test_a_power_loss_takes_nothing_of_the_quorums_log_or_of_what_is_flushed(data):
    quorum = a_partition(data, "__cluster_metadata-0", 3)
    before = quorum.read_bytes()
    (data / checkpoints.RECOVERY_POINT).write_text(checkpoints.render({("orders", 0): 12}))
    assert power.lose_unflushed(DataFiles(data)) == []
    assert quorum.read_bytes() == before


# -- damage ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", damage.DAMAGES)
def test_damage_changes_something_and_only_in_the_topics_it_is_for(data, name):
    theirs = a_partition(data, "theirs-0", 4)
    (data / checkpoints.RECOVERY_POINT).write_text(checkpoints.render({("orders", 0): 12}))
    before = theirs.read_bytes()
    assert damage.DAMAGES[name](DataFiles(data), ["orders"]) > 0
    assert name == "all its data is gone" or theirs.read_bytes() == before
    assert (data / "meta.properties").exists()


def test_a_torn_tail_is_half_of_one_more_batch(data):
    segment = data / "orders-0" / f"{0:020d}.log"
    whole = segments.batches(segment)
    assert damage.tear_tails(DataFiles(data), ["orders"]) == 1
    assert segments.batches(segment) == whole
    assert whole[-1].end < segment.stat().st_size < whole[-1].end + whole[-1].size


def test_a_flipped_bit_is_one_bit(data):
    segment = data / "orders-0" / f"{0:020d}.log"
    before = segment.read_bytes()
    assert damage.flip_bit(DataFiles(data), ["orders"]) == 1
    differences = [a ^ b for a, b in zip(before, segment.read_bytes(), strict=True) if a != b]
    assert [bin(difference).count("1") for difference in differences] == [1]


def test_damage_that_finds_nothing_says_so(data):
    assert damage.flip_bit(DataFiles(data), ["no such topic"]) == 0


@pytest.mark.parametrize("name", ["its index files are deleted", "its index files are overwritten with noise"])
def test_indexes_by_which_nothing_is_found_are_nothing_to_lose(data, name):
    """A log of one batch has none but empty ones, and a broker that never made them again would serve it as well."""
    index = data / "orders-0" / f"{0:020d}.index"
    index.write_bytes(bytes(INDEX_BYTES))
    assert damage.DAMAGES[name](DataFiles(data), ["orders"]) == 0
    assert index.read_bytes() == bytes(INDEX_BYTES)


# -- a disk that is replaced -------------------------------------------------------------------------------
def test_on_a_disk_that_was_replaced_there_is_nothing(data):
    a_partition(data, "orders-0", 2, base=12)
    a_partition(data, "theirs-0", 4)
    a_partition(data, "orders-1", 0)
    assert replacement.replace(DataFiles(data), ["orders"]) == replacement.Removed(segments=2, messages=18)
    assert list(data.iterdir()) == []


OLD, NEW = "directory.id=old", "directory.id=new"


class Replacing(Harmed):
    """A scene whose brokers are whole all the time; one has the role, with what is told of its directory one by one."""

    def __init__(self, folder: Path, ids: list[str]) -> None:
        super().__init__(folder)
        self.broker.peek = lambda name: f"node.id=1\n{ids.pop(0)}\n".encode()
        self._part = SimpleNamespace(
            at_holder=self._at_holder,
            hands_over=lambda node, role: None,
            recovered=lambda: None,
            meeting=self._meeting,
        )
        #: Whether the lead passes on to that broker while it is waited for what is under way.
        self.leads = False

    def part(self, kind):
        return self._part

    def _at_holder(self, role: str, fault):
        def check() -> None:
            if self.leads:
                raise PassedOn("it leads")

        return fault(self.broker, check)

    @contextmanager
    def _meeting(self, how: str, check):
        check()
        yield


@pytest.fixture
def restarting(monkeypatch):
    """A restart is nothing but what is done while the broker is down."""

    def restart(node, how, *, in_the_middle_of, while_down):
        with in_the_middle_of:
            while_down()
        return process.Restart(how, 1.0, 2.0, 1.0)

    monkeypatch.setattr(process, "restart", restart)


def test_what_goes_with_a_disk_is_in_the_report(data, restarting):
    scene = Replacing(data, [OLD, NEW])
    ReplacedDisk(scene).replace("follower")
    assert scene.tampered
    assert scene.facts.numbers["messages removed from broker 1"] == 12
    assert scene.facts.numbers["segments removed from broker 1"] == 1


def test_a_disk_without_messages_that_is_replaced_proves_nothing(data, restarting):
    scene = Replacing(data, [OLD, NEW])
    scene.topics = ["invoices"]
    with pytest.raises(FaultNotProven, match="the disk of broker 1 was replaced, and there were no messages on it"):
        ReplacedDisk(scene).replace("follower")


def test_the_disk_of_a_follower_that_has_come_to_lead_is_let_be(data, restarting):
    scene = Replacing(data, [OLD, NEW])
    scene.leads = True
    with pytest.raises(PassedOn):
        ReplacedDisk(scene).replace("follower")
    assert (data / "orders-0").exists()


def test_a_directory_without_an_id_cannot_be_told_from_a_new_one(data, restarting):
    """Before Kafka 3.7 none had one, and the two that are alike were taken for a disk that was not replaced."""
    scene = Replacing(data, ["version=1", "version=1"])
    with pytest.raises(NotPossible, match=r"the log directory of broker 1 has no id, as before Kafka 3\.7"):
        ReplacedDisk(scene).replace("follower")
    assert (data / "orders-0").exists()


def test_a_broker_that_comes_back_with_the_directory_it_had_proves_nothing(data, restarting):
    with pytest.raises(FaultNotProven, match="was to come back with a new log directory, and has old again"):
        ReplacedDisk(Replacing(data, [OLD, OLD])).replace("follower")


# -- what the broker makes of it --------------------------------------------------------------------------
FAULTS = {
    "damage": lambda scene: disk_faults.damage(scene, "killed", "its index files are deleted"),
    "power loss": lambda scene: disk_faults.lose_power(scene),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_broker_that_does_not_start_with_its_harmed_files_breaks_the_promise(data, fault):
    """It was told as "could not be checked", while the features say that such a thing costs time and nothing else."""
    with pytest.raises(AssertionError, match=r", and broker 1 does not come back: broker 1 died on its own"):
        fault(Harmed(data, start="broker 1 died on its own"))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_broker_that_cannot_be_taken_down_to_be_harmed_breaks_no_promise(data, fault):
    with pytest.raises(BrokerFailed, match="waited in vain"):
        fault(Harmed(data, stop="waited in vain"))


def test_a_forged_mark_of_an_orderly_stop_has_to_be_believed(data):
    """Otherwise the broker goes through its files as after any crash, and nothing is shown of the mark."""
    forged = "the mark of an orderly stop is forged"
    with pytest.raises(FaultNotProven, match="since clean shutdown file was found"):
        disk_faults.damage(
            Harmed(data, logs="Recovering 3 logs from data since no clean shutdown file was found"), "killed", forged
        )
    (data / checkpoints.CLEAN_SHUTDOWN).unlink()
    disk_faults.damage(
        Harmed(data, logs="Skipping recovery of 3 logs from data since clean shutdown file was found"), "killed", forged
    )


def test_what_is_acknowledged_and_not_flushed_with_every_message_breaks_the_promise(data, monkeypatch):
    """It was told as a wait of the suite's in vain: "could not be checked"."""
    monkeypatch.setattr(disk_faults, "_set_configs", lambda scene, configs: None)
    monkeypatch.setattr(disk_faults, "NOTE_SECONDS", 0.01)
    scene = Harmed(data)
    admin = SimpleNamespace(end_offsets=lambda topics, seconds: {("orders", 0): 12, ("orders", 1): 5})
    scene.driver = SimpleNamespace(admin=lambda connection: nullcontext(admin))
    scene.connection = Connection("nowhere:1")
    scene.publish = lambda count: None
    note = data / checkpoints.RECOVERY_POINT
    note.write_text(checkpoints.render({("orders", 0): 9, ("orders", 1): 5}))
    with pytest.raises(AssertionError, match=r"acknowledged, and not flushed .*: orders-0 from offset 9 to 12 \("):
        disk_faults.publish_flushed(scene, 17)
    note.write_text(checkpoints.render({("orders", 0): 12, ("orders", 1): 5}))
    disk_faults.publish_flushed(scene, 17)


def test_only_the_messages_that_were_not_flushed_may_go_with_the_power(data, monkeypatch):
    """Excused by their places, those would be excused as well that are published at the same places afterwards."""
    monkeypatch.setattr(disk_faults, "_set_configs", lambda scene, configs: None)
    excused = []
    scene = Harmed(data)
    scene.publish = lambda count: 7
    scene.recorder = SimpleNamespace(row=lambda table, *values: excused.append((table, *values)))
    disk_faults.publish_unflushed(scene, 20)
    assert excused == [("excused", None, None, None, None, 7, 0, 19, "power loss before a flush")]


# -- small volumes --------------------------------------------------------------------------------------
def test_a_small_volume_is_full_when_it_is_and_goes_away(run):
    folder = run.directory / "small volume"
    folder.mkdir()
    try:
        mounts.mount_small(folder, 1)
    except NotPossible as reason:
        pytest.skip(str(reason))
    with pytest.raises(OSError, match="No space left"):
        (folder / "big").write_bytes(bytes(2 << 20))
    mounts.unmount_below(run.directory)
    assert not os.path.ismount(folder)
    assert list(folder.iterdir()) == []
