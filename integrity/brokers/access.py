"""How a run gets at somebody else's cluster: the connection from the options, and whether it is any good."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from kafka.errors import ClusterAuthorizationFailedError, TopicAuthorizationFailedError, for_code
from kafka.protocol.admin import CreateTopicsRequest

from integrity import progress
from integrity.brokers import leavings
from integrity.brokers.base import BrokerFailed
from integrity.brokers.external import THERE_SECONDS, ExternalBroker
from integrity.clients import driver, properties, security, wire
from integrity.clients.types import Connection
from integrity.errors import SuiteError, Unavailable
from integrity.reports.text import one_line
from integrity.settings import Settings
from integrity.waiting import WaitTimeout, scaled, wait_until

#: Seconds, before timeout_factor, for the answer whether a topic may be made.
CREATE_SECONDS = 10.0

_NOT_ALLOWED = (TopicAuthorizationFailedError.errno, ClusterAuthorizationFailedError.errno)

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


def _metadata(to: Connection) -> Any:
    """The cluster's metadata, with a broker at least: one that has only just started knows of none, itself included.

    Raises Unavailable.
    """
    seen: list[Any] = []

    def names_a_broker() -> bool:
        seen[:] = [wire.metadata(to.bootstrap_servers, to.properties)]
        return bool(seen[0].brokers)

    try:
        wait_until(names_a_broker, what=f"a broker that {to.bootstrap_servers} knows of", seconds=THERE_SECONDS)
    except WaitTimeout as timeout:
        raise Unavailable(
            f"{to.bootstrap_servers} answers, but knows of no broker, itself included: {timeout}"
        ) from timeout
    return seen[0]


def _may_create_topics(to: Connection, found: Any) -> None:
    """See that the user may make a run's topics; none is made. found: the cluster's metadata. Raises Unavailable.

    What speaks against this topic alone (its owner's rules, say) is told by the scenarios that it concerns; so is
    whatever keeps somebody who has just told of the brokers from answering this.
    """
    name = f"{leavings.prefix(uuid.uuid4().hex)}may-be-made"
    # This version is Kafka 2.0's, and 4's still; later ones are needed only for a number that is the cluster's default.
    topic = CreateTopicsRequest.CreatableTopic(
        name=name, num_partitions=1, replication_factor=1, assignments=[], configs=[]
    )
    request = CreateTopicsRequest[3](topics=[topic], timeout_ms=int(scaled(CREATE_SECONDS) * 1000), validate_only=True)
    # Before KRaft it alone takes the request; since then any broker does.
    [controller, *_] = [each for each in found.brokers if each.node_id == found.controller_id] or found.brokers
    try:
        [answer] = wire.ask(f"{controller.host}:{controller.port}", to.properties, request, CREATE_SECONDS).topics
    except wire.NoAnswer:
        return
    if answer.error_code in _NOT_ALLOWED:
        raise Unavailable(
            f"the user that the cluster at {to.bootstrap_servers} lets in may not create topics whose names begin with "
            f"{leavings.PREFIX} ({for_code(answer.error_code).__name__}): it needs the right Create; docs/external.md "
            "has all that it needs"
        )


def check(settings: Settings) -> str:
    """See that the cluster can be reached at all its addresses, and by the client that was chosen, and that topics may
    be made there; says what was found.

    Raises Unavailable or BadOption in one line that holds no secret.
    """
    to = connection(settings)
    if words := _left_out(security.left_out(to.properties)):
        progress.say(f"Of {settings.client_config} these are left out, the suite chooses them: {words}")
    found = _metadata(to)
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
    _may_create_topics(to, found)
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
