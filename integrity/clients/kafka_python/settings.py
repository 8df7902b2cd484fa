"""kafka-python's arguments for a connection."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from selectors import SelectorKey
from typing import Any

from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.errors import NodeNotReadyError, UnknownBrokerIdError
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager

from integrity.clients.base import Connection
from integrity.clients.security import kafka_python_arguments
from integrity.clients.types import SETUP_SECONDS
from integrity.waiting import attended, scaled

#: Seconds between two of a group's member's questions for its coordinator, while the one that is named is away.
LOOKUP_SECONDS = 0.05

#: What kafka-python backs off from under this name is not a broker.
_METADATA = "metadata"


def connection_arguments(connection: Connection, client_id: str, request_timeout: float) -> dict[str, Any]:
    """What every client of this connection is given; request_timeout in seconds.

    Back-off is capped low: a broker under test comes back within a second or two, and the default cap (30 s) would
    make a reader look as if it had lost what it has not yet asked for.
    """
    return {
        "bootstrap_servers": connection.bootstrap_servers.split(","),
        "client_id": client_id,
        "request_timeout_ms": int(request_timeout * 1000),
        "reconnect_backoff_ms": 20,
        "reconnect_backoff_max_ms": 200,
        "retry_backoff_ms": 20,
    } | kafka_python_arguments(connection.properties)


def limit_setup(manager: KafkaConnectionManager) -> None:
    """Cap the time for a connection to be set up as well, which grows from 10 to 30 s with every failure.

    An engine takes connections for a container that is not up yet, and answers nothing. kafka-python (3.0.12) has
    options for this time, but neither its producer nor its consumer nor its admin takes them.
    """
    milliseconds = int(scaled(SETUP_SECONDS) * 1000)
    manager.config["socket_connection_setup_timeout_ms"] = milliseconds
    manager.config["socket_connection_setup_timeout_max_ms"] = milliseconds


def ask_for_brokers(manager: KafkaConnectionManager) -> None:
    """Have a client that is sent to a broker it does not know take it for one that is away, and ask for the brokers.

    A broker that answers while another one is being fenced may name that one as a leader, but no longer list it.
    kafka-python (3.0.12) lets an error through then: its producer's thread gets no answer any more and goes on like
    that for ever (kafka/producer/sender.py, ``_send_producer_data``), its consumer's poll raises and never again
    fetches from that broker, whose request it takes to be under way (kafka/consumer/fetcher.py,
    ``_send_fetches_async``).
    """
    connect = manager.get_connection

    def connect_if_known(node_id: int, *arguments: Any, **options: Any) -> KafkaConnection:
        try:
            return connect(node_id, *arguments, **options)
        except UnknownBrokerIdError as error:
            manager.cluster.request_update()
            raise NodeNotReadyError(node_id) from error

    manager.get_connection = connect_if_known


def begin_again(manager: KafkaConnectionManager) -> None:
    """Have a client that can reach none of the brokers it knows ask the servers it was given at first (KIP-899).

    It may know but one of three: that is what a broker answers for as long as the others are fenced. If that one dies
    next, kafka-python (3.0.12) asks nobody else until it is back (kafka/net/manager.py, ``least_loaded_node``).
    """
    choose, cluster = manager.least_loaded_node, manager.cluster

    def is_connected(node_id: int) -> bool:
        connection = manager._conns.get(node_id)
        return connection is not None and connection.connected

    def choose_or_begin_again() -> int | str | None:
        node_id = choose()
        if node_id is not None or any(is_connected(broker.node_id) for broker in cluster.brokers()):
            return node_id
        free = [b.node_id for b in cluster.bootstrap_brokers() if not manager.connection_delay(b.node_id)]
        return random.choice(free) if free else None

    manager.least_loaded_node = choose_or_begin_again


def keep_back_off(manager: KafkaConnectionManager) -> None:
    """Have a connection that was closed before the broker said a word count as one that failed.

    That is what an engine does with connections to a container that is down. kafka-python (3.0.12) takes it for a
    success (kafka/net/manager.py, ``_connect``), so it connects again at once, a thousand times a second.
    """
    forget = manager.reset_backoff

    def forget_if_connected(node_id: int | str) -> None:
        connection = manager._conns.get(node_id)
        if node_id == _METADATA or (connection is not None and connection.connected):
            forget(node_id)
        else:
            manager.update_backoff(node_id)

    manager.reset_backoff = forget_if_connected


def pace_lookups(coordinator: ConsumerCoordinator) -> None:
    """Have a member whose coordinator cannot be reached ask who it is some times a second.

    Until a group has another coordinator, the brokers name the one that is away. kafka-python (3.0.12) finds it in
    its back-off and asks again at once (kafka/coordinator/base.py, ``ensure_coordinator_ready_async``): as often as
    the brokers, which have better things to do just then, can answer.
    """
    ask, manager = coordinator._send_group_coordinator_request, coordinator._manager

    async def ask_and_wait() -> int | str:
        found = await ask()
        await manager._net.sleep(min(manager.connection_delay(found), LOOKUP_SECONDS))
        return found

    coordinator._send_group_coordinator_request = ask_and_wait


def find_keys_at_once(manager: KafkaConnectionManager) -> None:
    """Have the selector say that a socket is not registered without describing the socket.

    kafka-python (3.0.12) registers a socket for every wait anew, and asks first whether it is registered
    (kafka/net/selector.py, ``register_event``). For its refusal the standard library describes the socket twice, with
    both addresses each time: four system calls, in all some 7 % of the suite's own processor time in a whole run.
    """
    selector = manager._net._selector
    look_up, keys = selector.get_key, getattr(selector, "_fd_to_key", None)
    if keys is None:
        return  # another selector than the standard library's

    def get_key(fileobj: socket.socket | int) -> SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if number < 0:
            return look_up(fileobj)  # it is closed, and may be found by itself
        return keys[number]

    selector.get_key = get_key


def end_waits(manager: KafkaConnectionManager, check: Callable[[], None]) -> None:
    """Have every request that is waited for end at once when ``check`` raises; for an admin, which sends few."""
    run = manager.run
    manager.run = lambda coroutine, *arguments: attended(lambda: run(coroutine, *arguments), check)


def prepare(manager: KafkaConnectionManager) -> None:
    """What a publisher's and a reader's connections need besides their arguments."""
    find_keys_at_once(manager)
    limit_setup(manager)
    ask_for_brokers(manager)
    begin_again(manager)
    keep_back_off(manager)
