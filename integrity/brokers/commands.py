"""Runs a user's command: without a shell, bounded, its output kept for the error it may end in."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress

from integrity.brokers.base import KILL_SECONDS, BrokerFailed
from integrity.reports import masking
from integrity.reports.text import one_line
from integrity.waiting import WaitTimeout, scaled, wait_until

#: Seconds for one command, before timeout_factor: a pod is deleted and made again in one or two minutes.
COMMAND_SECONDS = 300.0

#: Characters of its output that go into an error's text, from the end.
OUTPUT_CHARACTERS = 2_000

#: Seconds between two looks at a running command and at the cluster.
LOOK_SECONDS = 0.1


def run(
    name: str, words: Sequence[str], *, secrets: Sequence[str] = (), watch: Callable[[], object] = lambda: None
) -> str:
    """Run the command of the option ``name`` and return what it printed, secrets hidden: its own and those given.

    watch: called again and again while it runs. Raises BrokerFailed when it cannot be started, ends with another status
    than 0, or takes longer than COMMAND_SECONDS; then it is killed, with all that it started.
    """
    line = masking.mask_command(words, secrets)
    hidden = {*secrets, *masking.secrets_in(words)}
    # A file, not a pipe: what the command leaves running may keep a pipe open for ever.
    with tempfile.TemporaryFile() as output:

        def said() -> str:
            output.seek(0)
            return masking.mask_inside(masking.hide(output.read().decode(errors="replace"), hidden)).strip()

        try:
            process = subprocess.Popen(
                list(words), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as error:
            raise BrokerFailed(f"-D {name}: {line} cannot be run: {error.strerror}") from error

        def ended() -> bool:
            watch()
            return process.poll() is not None

        try:
            wait_until(ended, what=f"the {name} to end", seconds=COMMAND_SECONDS, poll_seconds=LOOK_SECONDS)
        except WaitTimeout as timeout:
            raise BrokerFailed(f"-D {name}: {line}: {timeout}, so it was killed{_last(said())}") from timeout
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                # It ends, but for one that hangs in the system; and an error that is under way is told before that.
                with suppress(subprocess.TimeoutExpired):
                    process.wait(scaled(KILL_SECONDS))
        if process.returncode:
            raise BrokerFailed(f"-D {name}: {line} ended with status {process.returncode}{_last(said())}")
        return said()


def _last(output: str) -> str:
    """The end of a command's output, for a sentence; of one line where it is short."""
    if not output:
        return "; it printed nothing"
    last = output[-OUTPUT_CHARACTERS:]
    return f"; it printed: {one_line(last)}" if last.count("\n") < 3 else f"; it printed:\n{last}"
