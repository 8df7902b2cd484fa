"""The scripts of a cluster's owner: stops, kills and starts the one broker that a folder describes.

``python tests/owner.py stop|kill|start FOLDER``. The folder holds ``command.json``: the broker's command line and its
process id. It signals that process and no other, and only while its command line is still the broker's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil

#: Seconds for the broker to end.
END_SECONDS = 60


def describe(folder: Path, words: list[str], pid: int, log: Path) -> None:
    """Note down the broker that the scripts are about."""
    (folder / "command.json").write_text(json.dumps({"words": words, "pid": pid, "log": str(log)}))


def end(folder: Path, how: str) -> None:
    """Stop or kill the broker, and wait until it is gone."""
    noted = json.loads((folder / "command.json").read_text())
    process = psutil.Process(noted["pid"])
    if process.cmdline() != noted["words"]:
        sys.exit(f"process {noted['pid']} is not the broker")
    if how == "stop":
        process.terminate()
    else:
        process.kill()
    process.wait(END_SECONDS)
    sys.stdout.write(f"broker {noted['pid']} is gone\n")


def start(folder: Path) -> None:
    """Start the broker again, on the same data; returns at once."""
    noted = json.loads((folder / "command.json").read_text())
    with open(noted["log"], "ab") as log:
        process = subprocess.Popen(
            noted["words"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    describe(folder, noted["words"], process.pid, Path(noted["log"]))
    sys.stdout.write(f"broker started as {process.pid}\n")


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2])
    start(where) if what == "start" else end(where, what)
