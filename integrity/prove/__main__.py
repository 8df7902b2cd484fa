"""``make prove``: see the package. Exits with 0 when everything was seen and nothing else was, otherwise with 1."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from integrity.prove import report
from integrity.prove.judgement import BY_NAME, Job, Outcome, complaints, judge
from integrity.prove.stage import ROOT
from integrity.prove.table import SABOTAGES, broken, uncovered

#: Processes that run jobs at the same time: a restart is mostly waiting.
WORKERS = 2

#: How much is shown of the output of a process that ended early.
LOG_CHARACTERS = 5_000


def plan() -> list[Job]:
    """Every sabotage with its scenarios, and every scenario without one."""
    jobs = [Job(sabotage.does, scenario) for sabotage in SABOTAGES for scenario in sabotage.scenarios]
    return jobs + [Job(None, scenario) for scenario in dict.fromkeys(job.scenario for job in jobs)]


def run(jobs: Sequence[Job], workers: int, options: Sequence[str]) -> list[Outcome]:
    """Have the jobs done; a line is printed for each as it ends. An interruption is passed on, and waited for."""
    with tempfile.TemporaryDirectory(prefix="kafka-integrity-prove-") as folder:
        parts = [jobs[number::workers] for number in range(workers)]
        stages = [_Stage(Path(folder) / f"stage-{number}", part, options) for number, part in enumerate(parts) if part]
        try:
            for stage in stages:
                stage.join()
        except BaseException:
            for stage in stages:
                stage.process.terminate()
            for stage in stages:
                stage.join()
            raise
    return [outcome for stage in stages for outcome in stage.outcomes]


class _Stage(threading.Thread):
    """One process, at work from its making on, and its outcomes as they come."""

    def __init__(self, place: Path, jobs: Sequence[Job], options: Sequence[str]) -> None:
        super().__init__(name=place.name)
        self.outcomes: list[Outcome] = []
        self._jobs = jobs
        self._log = place.with_suffix(".log")
        self._ours, theirs = os.pipe()
        plan = place.with_suffix(".json")
        values = [(job.sabotage, job.scenario) for job in jobs]
        plan.write_text(json.dumps({"jobs": values, "channel": theirs, "options": list(options)}))
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "integrity.prove.stage", str(plan)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs],
                start_new_session=True,  # Ctrl-C reaches this process, which passes it on
            )
        os.close(theirs)
        self.start()

    def run(self) -> None:
        with open(self._ours, encoding="utf-8") as lines:
            for line in lines:
                self.outcomes.append(Outcome.read(json.loads(line)))
                report.say(report.line(judge(self.outcomes[-1])))
        self.process.wait()
        if len(self.outcomes) < len(self._jobs):
            end = self._log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]
            report.say(f"a process ended after {len(self.outcomes)} of {len(self._jobs)} scenarios:\n{end}")


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt(f"signal {signal.Signals(number).name}")


def main(words: Sequence[str] | None = None) -> int:
    """0 when everything was seen and nothing else was; otherwise 1."""
    parser = argparse.ArgumentParser(prog="python -m integrity.prove", description=__doc__)
    parser.add_argument("--only", metavar="WORDS", help="sabotages (or scenarios) whose words contain these")
    parser.add_argument("--client", default="kafka-python", choices=("kafka-python", "confluent-kafka"))
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--timeout-factor", default="1.0")
    parser.add_argument("--reports", type=Path, default=ROOT / "reports", help="where prove.html and prove.json go")
    chosen = parser.parse_args(words)
    signal.signal(signal.SIGTERM, _interrupt)
    said = [f"no sabotage is expected to bring {name} about" for name in uncovered()]
    for name, why in broken().items():
        unseen = [sabotage.does for sabotage in BY_NAME.values() if sabotage.expected == name]
        said.append(f"the check {name} is broken ({why}): nobody would see a broker that {', or '.join(unseen)}")
    began = time.monotonic()
    jobs, outcomes = plan(), []
    if chosen.only is not None:
        jobs = [job for job in jobs if chosen.only in f"{job.sabotage} {job.scenario}"]
    if not broken():
        options = ["-D", f"client={chosen.client}", "-D", f"timeout_factor={chosen.timeout_factor}"]
        outcomes = run(jobs, chosen.workers, options)
        said += complaints(jobs, outcomes)
    if not jobs:
        said.append(f"no sabotage or scenario contains {chosen.only!r}")
    report.show([judge(outcome) for outcome in outcomes], said, time.monotonic() - began, chosen.reports)
    return 1 if said else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt as interruption:
        report.say(f"interrupted{f': {interruption}' if str(interruption) else ''}; nothing is proven")
        sys.exit(130)
