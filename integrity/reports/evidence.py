"""What a scenario leaves behind for whoever has to find out why: reports/evidence/<feature>/<scenario>/.

::

    verdict.txt       what happened in words, and how to check and run it again
    verdict.json      the checker's verdict
    settings.txt      every option, secrets masked
    command.txt       the exact command that runs this scenario again
    history/          what was sent, acknowledged, read and broken; ``python -m integrity.check`` takes this folder
    *.log             each broker's log, of this scenario only; clients.log, where the clients' libraries complained
    *.server.properties   what each broker was last started with, secrets masked; not of an existing cluster
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import shlex
import shutil
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from integrity.reports import views
from integrity.reports.masking import masked
from integrity.reports.model import RunFacts
from integrity.reports.text import clean, file_name
from integrity.reports.views import FeatureView, ScenarioView

FAILED_ONLY = "failed"
ALWAYS = "always"
NEVER = "never"


def wanted(keep: str, status: str) -> bool:
    """Whether a scenario with that verdict keeps its evidence under ``keep`` (the option's value)."""
    if keep == NEVER or status in (views.SKIPPED, views.NOT_SELECTED):
        return False
    return keep == ALWAYS or status != views.HELD


def folder_names(feature: FeatureView) -> dict[str, str]:
    """A folder's name for each scenario of a feature, by its location.

    Unique even where capitals do not count, and the same whichever part of the feature is run.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for scenario in feature.scenarios:
        name = file_name(scenario.name)
        if name.casefold() in taken:
            name = f"{name}-line-{scenario.location.rpartition(':')[2]}"
        taken.add(name.casefold())
        names[scenario.location] = name
    return names


def feature_folder(feature: FeatureView) -> str:
    """``persistence.restart`` for features/persistence/restart.feature: one folder a file, whatever the titles."""
    path = Path(feature.location.rpartition(":")[0])
    parts = [part for part in (*path.parts[:-1], path.stem) if part not in ("features", "/", "..", ".")]
    return file_name(".".join(parts[-3:]))


@dataclasses.dataclass(frozen=True)
class Kept:
    """What a scenario leaves beside its verdict.

    logs: a broker's label, or "clients", to the log of this scenario. properties: a broker's label to its server
    properties. history: the folder of Parquet files; ``move`` takes it away from where it is instead of copying it.
    """

    logs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    properties: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    history: Path | None = None
    move: bool = False


def write(root: Path, feature: FeatureView, scenario: ScenarioView, run: RunFacts, kept: Kept) -> Path:
    """Write one scenario's evidence below ``root`` in place of an earlier run's; returns its folder.

    OSError passes through: evidence that cannot be kept is worth knowing.
    """
    folder = place(root, feature, scenario)
    root.mkdir(parents=True, exist_ok=True)
    # Made whole beside its place: another run in the same project may be about to put its own there.
    staging = Path(tempfile.mkdtemp(prefix=".making-", dir=root))
    try:
        staging.chmod(0o755)
        _fill(staging, folder, feature, scenario, run, kept)
        _replace(folder, staging)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return folder


def _fill(staging: Path, folder: Path, feature: FeatureView, scenario: ScenarioView, run: RunFacts, kept: Kept) -> None:
    """Write into ``staging`` what is to be at ``folder``."""
    history = kept.history
    if history is not None and history.is_dir():
        if kept.move:
            shutil.move(history, staging / "history")
        else:
            shutil.copytree(history, staging / "history")
    if scenario.facts.verdict is not None:
        _put(staging / "verdict.json", json.dumps(scenario.facts.verdict, indent=2, default=str, ensure_ascii=False))
    _put(staging / "verdict.txt", words(feature, scenario, (folder / "history") if history else None))
    _put(staging / "settings.txt", settings_text(run))
    _put(staging / "command.txt", scenario.facts.rerun)
    _put_each(staging, ".log", kept.logs)
    settings = {label: "\n".join(_lines(given, run)) for label, given in kept.properties.items()}
    _put_each(staging, ".server.properties", settings)


def _put_each(folder: Path, ending: str, texts: Mapping[str, str]) -> None:
    """A file for each label, whatever is in the label."""
    taken: set[str] = set()
    for label, text in texts.items():
        name = file_name(label)
        while name.casefold() in taken:
            name += "+"
        taken.add(name.casefold())
        _put(folder / f"{name}{ending}", text)


def _lines(settings: Mapping[str, object], run: RunFacts) -> list[str]:
    """``name=value``, with secrets masked."""
    given = {name: "" if value is None else value for name, value in settings.items()}
    return [f"{name}={masked(name, value, run.secrets)}" for name, value in given.items()]


def _replace(folder: Path, staging: Path) -> None:
    """Put ``staging`` where ``folder`` is; of two runs that do so at the same time, one comes last."""
    for last in [False] * 9 + [True]:
        _remove(folder)
        try:
            folder.parent.mkdir(exist_ok=True)
            staging.rename(folder)
            return
        except OSError as error:
            # The other run was here in between: with its own, or to remove a feature's folder that was empty.
            if last or error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise


def _remove(folder: Path) -> None:
    """Remove it at one blow, so that of two runs that want to, one finds nothing."""
    doomed = folder.parent.with_name(f".removing-{uuid.uuid4().hex[:8]}")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(doomed)
        shutil.rmtree(doomed)


def place(root: Path, feature: FeatureView, scenario: ScenarioView) -> Path:
    """Where the evidence of ``scenario`` belongs."""
    return root / feature_folder(feature) / folder_names(feature)[scenario.location]


def clear(folder: Path) -> None:
    """Remove what an earlier run left for the same scenario: old evidence beside a new report misleads."""
    if folder.is_dir():
        _remove(folder)
        with contextlib.suppress(OSError):  # other scenarios of the feature have evidence still
            folder.parent.rmdir()


def words(feature: FeatureView, scenario: ScenarioView, history: Path | None) -> str:
    """What a person reads first."""
    lines = [feature.name, scenario.name, scenario.location, "", f"Verdict: {scenario.words}."]
    if scenario.problem is not None:
        lines.append(scenario.problem.sentence)
        if scenario.problem.step:
            lines.append(f"Step: {scenario.problem.step} ({scenario.problem.location})")
    if scenario.after:
        lines.append(f"After: {scenario.after}")
    if scenario.facts.verdict_words:
        lines += ["", clean(scenario.facts.verdict_words).rstrip()]
    if scenario.problem is not None and scenario.problem.text:
        lines += ["", "In full:", scenario.problem.text]
    if history is not None:
        command = [python(), "-m", "integrity.check", near(history / scenario.facts.judged)]
        lines += ["", f"Check again: {shlex.join(command)}"]
    lines += ["", f"Run again: {scenario.facts.rerun}"]
    return "\n".join(lines)


def near(path: Path) -> str:
    """``path`` as seen from here, where it lies below; reports move from machine to machine."""
    resolved, here = path.resolve(), Path.cwd()
    return str(resolved.relative_to(here)) if resolved.is_relative_to(here) else str(resolved)


def settings_text(run: RunFacts) -> str:
    """``name=value`` lines: the run's facts, then every option. Secrets are masked."""
    facts = [f"# {name}: {value}" for name, value in run.table().items()]
    return "\n".join([*facts, *_lines(run.settings, run)])


def settings_of(settings: Any) -> dict[str, object]:
    """A mapping or a dataclass of options as a plain dict, in its order."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return dict(settings)


def rerun_command(location: str, run: RunFacts) -> str:
    """The command line that runs the scenario at ``location`` (file:line) alone, as it ran.

    A secret among the options is masked here too: it has to be filled in again.
    """
    options = dict(run.options)
    if run.broker:  # the one that was chosen: elsewhere the choice may be another
        options["broker"] = run.broker
    if run.seed is not None:
        options["seed"] = str(run.seed)
    given = [f"{name}={masked(name, value, run.secrets)}" for name, value in options.items()]
    return shlex.join([behave(), location, *(word for pair in given for word in ("-D", pair))])


def behave() -> str:
    """behave as it is called from here."""
    return _called("behave")


def python() -> str:
    """This Python as it is called from here: no other may have the libraries."""
    return _called("python" if Path(sys.executable).with_name("python").exists() else Path(sys.executable).name)


def _called(program: str) -> str:
    """The program by its name, or the one beside this Python, where the shell would find none or another."""
    own = Path(sys.executable).with_name(program)
    found = shutil.which(program)
    if not own.exists() or (found is not None and Path(found) == own):
        return program
    # Seen by its folder: an environment's python is a link, and where that leads there are no libraries.
    return str(Path(near(own.parent)) / program)


def _put(path: Path, text: str) -> None:
    # A log may hold anything, lone surrogates included: nothing of it may keep the evidence from being written.
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8", errors="backslashreplace")
