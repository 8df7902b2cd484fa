"""``make prove``: see the package."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from integrity.prove import report
from integrity.prove.judgement import BY_NAME, Job, Outcome, complaints, judge
from integrity.prove.stage import ROOT
from integrity.prove.table import SABOTAGES, broken, uncovered

#: Processes that run jobs at the same time: a restart is mostly waiting.
WORKERS = 2


def plan() -> list[Job]:
    """Every sabotage with its scenarios, and every scenario without one."""
    jobs = [Job(sabotage.does, scenario) for sabotage in SABOTAGES for scenario in sabotage.scenarios]
    return jobs + [Job(None, scenario) for scenario in dict.fromkeys(job.scenario for job in jobs)]


def run(jobs: Sequence[Job], workers: int, options: Sequence[str]) -> list[Outcome]:
    """Have the jobs done; a line is printed for each as it ends."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="kafka-integrity-prove-") as folder:
        threads = []
        for number in range(workers):
            part = jobs[number::workers]
            if part:
                stage = (Path(folder), number, part, options, outcomes)
                threads.append(threading.Thread(target=_stage, args=stage))
                threads[-1].start()
        for thread in threads:
            thread.join()
    return outcomes


def _stage(folder: Path, number: int, jobs: Sequence[Job], options: Sequence[str], outcomes: list[Outcome]) -> None:
    """One process, and its outcomes as they come."""
    ours, theirs = os.pipe()
    file = folder / f"stage-{number}.json"
    values = [(job.sabotage, job.scenario) for job in jobs]
    file.write_text(json.dumps({"jobs": values, "channel": theirs, "options": list(options)}))
    with open(file.with_suffix(".log"), "w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "integrity.prove.stage", str(file)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[theirs],
        )  # fmt: skip
        os.close(theirs)
        told = 0
        with open(ours, encoding="utf-8") as lines:
            for line in lines:
                outcome = Outcome.read(json.loads(line))
                outcomes.append(outcome)
                told += 1
                report.say(report.line(judge(outcome)))
        process.wait()
        if told < len(jobs):
            log.seek(0)
            sys.stderr.write(f"a process ended after {told} of {len(jobs)} jobs:\n{log.read()[-5000:]}\n")


def main(words: Sequence[str] | None = None) -> int:
    """0 when everything was seen and nothing else was; otherwise 1."""
    parser = argparse.ArgumentParser(prog="python -m integrity.prove", description=__doc__)
    parser.add_argument("--only", metavar="WORDS", help="sabotages (or scenarios) whose words contain these")
    parser.add_argument("--client", default="kafka-python", choices=("kafka-python", "confluent-kafka"))
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--timeout-factor", default="1.0")
    parser.add_argument("--reports", type=Path, default=ROOT / "reports", help="where prove.html and prove.json go")
    chosen = parser.parse_args(words)
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
    sys.exit(main())
