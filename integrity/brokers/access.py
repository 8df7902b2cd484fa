"""How a run gets at somebody else's cluster: the connection from the options, and whether it is any good."""

from __future__ import annotations

import re
from collections.abc import Sequence

from integrity import progress
from integrity.brokers import leavings
from integrity.brokers.base import BrokerFailed
from integrity.brokers.external import ExternalBroker
from integrity.clients import driver, properties, security, wire
from integrity.clients.types import Connection
from integrity.errors import SuiteError, Unavailable
from integrity.reports.text import one_line
from integrity.settings import Settings

#: What a client property's name looks like: words with dots.
_NAME = re.compile(r"[a-z]+([._-][a-z0-9]+)*")


def connection(settings: Settings, own: str = "") -> Connection:
    """The connection that the options describe; ``own`` is the run's prefix. Raises BadOption."""
    found = properties.read(settings.client_config) if settings.client_config is not None else {}
    security.parse(found)
    return Connection(
        settings.bootstrap_servers, found, prefix=own, least_session=ExternalBroker.least_session if own else 0.0
    )


def secrets(settings: Settings) -> list[str]:
    """What no report may show, of the client properties that were given. Raises BadOption."""
    return security.secrets(connection(settings).properties)


def broker(settings: Settings, run_id: str, known: frozenset[int] = frozenset()) -> ExternalBroker:
    """The cluster, with the commands that were given; known: the node ids of its brokers, if they have been seen."""
    to = connection(settings, leavings.prefix(run_id))
    return ExternalBroker(
        to,
        note=leavings.note(to, run_id),
        stop_command=settings.stop_command,
        start_command=settings.start_command,
        kill_command=settings.kill_command,
        known=known,
    )


def _left_out(names: Sequence[str]) -> str:
    """These properties in words. What is no name may be a line of a key that was not continued: it is only counted."""
    named = [name for name in names if _NAME.fullmatch(name)]
    others = len(names) - len(named)
    return ", ".join([*named, f"{others} whose name is none of Kafka's"] if others else named)


def check(settings: Settings) -> str:
    """See that the cluster can be reached at all its addresses, and by the client that was chosen; says what was found.

    Raises Unavailable or BadOption in one line that holds no secret.
    """
    to = connection(settings)
    if words := _left_out(security.left_out(to.properties)):
        progress.say(f"Of {settings.client_config} these are left out, the suite chooses them: {words}")
    found = wire.metadata(to.bootstrap_servers, to.properties)
    for each in found.brokers:
        address = f"{each.host}:{each.port}"
        try:
            wire.metadata(address, to.properties)
        except wire.NoAnswer as error:
            raise Unavailable(
                f"{to.bootstrap_servers} answers and says that broker {each.node_id} is at {address}, which must be "
                f"reachable from here (its advertised.listeners): {error}"
            ) from error
    try:
        with driver(settings.client).admin(to) as admin:
            admin.topics()
    except SuiteError:
        raise
    except Exception as error:  # the client libraries have no error in common
        raise Unavailable(
            f"{settings.client} cannot use the cluster at {to.bootstrap_servers}: {one_line(error)}"
        ) from error
    try:
        for words in leavings.sweep(to):
            progress.say(words)
    except BrokerFailed as error:
        raise Unavailable(
            f"what a run that was killed had left is still there, and each run tries again while there is a note of it "
            f"in {leavings.folder()}: {one_line(error)}"
        ) from error
    number = len(found.brokers)
    return f"{number} {'broker' if number == 1 else 'brokers'} at {to.bootstrap_servers}, as asked"
