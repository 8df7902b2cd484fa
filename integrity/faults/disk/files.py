"""The data directory of a broker of this run, for a fault to change; never anybody else's.

Three things must hold before a file is lent: the broker is down; the folder is this suite's own (below the folder of
runs, or the copy that a container of a run has lent); and it says itself, in ``meta.properties``, that it belongs
to a cluster that this suite formatted. After that every path is checked to lie inside the folder.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from integrity import runs
from integrity.brokers.base import Broker
from integrity.brokers.container_files import LENT_PREFIX
from integrity.brokers.kraft import CLUSTER_ID
from integrity.clients.base import Partition
from integrity.errors import NotPossible

#: KRaft's own log. Kafka flushes every append to it before anything depends on it, so no power loss takes from it.
METADATA_LOG = "__cluster_metadata"

#: Says of a log directory whose it is, and what its own id is.
METADATA = "meta.properties"

_PARTITION = re.compile(r"(?P<topic>[A-Za-z0-9._-]+)-(?P<number>\d+)")


class Refused(Exception):
    """A fault was pointed at files that are not provably this run's; nothing was touched."""


@dataclass(frozen=True)
class DataFiles:
    """A data directory lent by ``own_files``."""

    root: Path

    def inside(self, path: Path) -> Path:
        """``path``, which must lie in the folder, links resolved. Raises Refused when it leads elsewhere."""
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise Refused(f"{path} is not inside {self.root}")
        return path

    def file(self, name: str) -> Path:
        """A file directly in the folder, whether it exists or not: ``recovery-point-offset-checkpoint``."""
        return self.inside(self.root / name)

    def partitions(self) -> dict[Partition, Path]:
        """The folder of each partition, KRaft's own log left out."""
        found = {}
        for folder in sorted(self.root.iterdir()):
            match = _PARTITION.fullmatch(folder.name)
            if folder.is_dir() and match is not None and match["topic"] != METADATA_LOG:
                found[match["topic"], int(match["number"])] = self.inside(folder)
        return found

    def segments(self, partition: Path) -> list[Path]:
        """The ``.log`` files of a partition's folder, in the order of their offsets."""
        return [self.inside(path) for path in sorted(partition.glob("*.log")) if path.stem.isdigit()]

    def clear(self, keep: Collection[str] = ()) -> int:
        """Delete everything in the folder but what has one of these names; returns how many entries that were."""
        gone = [self.inside(path) for path in sorted(self.root.iterdir()) if path.name not in keep]
        for path in gone:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        return len(gone)


@contextmanager
def own_files(broker: Broker) -> Iterator[DataFiles]:
    """Lend the data directory of a broker that is down; what is changed in it is there when the broker starts.

    Raises Refused when the broker runs or the folder is not provably this suite's, NotPossible for a broker whose
    files cannot be had.
    """
    lend = getattr(broker, "files", None)
    if lend is None:
        raise NotPossible(f"the files of an {broker.kind} broker are not the suite's to change")
    if broker.is_alive():
        raise Refused(f"{broker.label} runs: its files are not touched before it is down")
    with lend() as folder:
        prove_own(folder)
        yield DataFiles(folder)


def prove_own(folder: Path) -> None:
    """Raise Refused unless ``folder`` is a data directory that this suite made."""
    place = folder.resolve()
    of_runs = (runs.base_directory() / "runs").resolve()
    temporary = Path(tempfile.gettempdir()).resolve()
    is_lent = any(parent.parent == temporary and parent.name.startswith(LENT_PREFIX) for parent in place.parents)
    if not place.is_relative_to(of_runs) and not is_lent:
        raise Refused(f"{folder} is not a folder of this suite's")
    meta = place / METADATA
    if not meta.is_file() or f"cluster.id={CLUSTER_ID}" not in meta.read_text().split():
        raise Refused(f"{folder} does not say that it belongs to a cluster of this suite's")
