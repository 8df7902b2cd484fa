"""What the client libraries complain of while a scenario runs: often the only one who knows why nothing goes on."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

from integrity.reports.masking import hide, mask_inside

#: The loggers of both libraries: kafka-python's own, and the one that librdkafka's lines are given to.
LOGGERS = ("kafka", "integrity.clients.confluent")

#: Lines kept, the last ones: a client whose broker is away says so again and again.
MOST_LINES = 5_000

#: As Kafka's own log has it, so that both can be read side by side.
FORMAT = "[%(asctime)s] %(levelname)s %(message)s (%(name)s)"


class ClientLog(logging.Handler):
    """Collects warnings and errors of the client libraries from its making until ``end``.

    secrets: those of the clients' properties; masked like whatever else goes by a telling name.
    """

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__(logging.WARNING)
        self._secrets = secrets
        self.setFormatter(logging.Formatter(FORMAT))
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._count = 0
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._count += 1
        self._lines.append(mask_inside(hide(self.format(record), self._secrets)))

    def end(self) -> None:
        """Collect no more; more than once is fine."""
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self)

    @property
    def text(self) -> str:
        """The lines so far, oldest first; empty when nobody complained."""
        lines = list(self._lines)
        left_out = self._count - len(lines)
        return "\n".join(([f"({left_out:,} earlier lines are left out)"] if left_out > 0 else []) + lines)
