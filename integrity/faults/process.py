"""Faults of a broker's process: taken down and started again, with proof that it really was down."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from integrity.brokers.base import Broker

#: How a broker can be taken down, in the features' words.
WAYS_DOWN: dict[str, Callable[[Broker], None]] = {
    "stopped": lambda broker: broker.stop(),
    "killed": lambda broker: broker.kill(),
}


class RestartNotProven(AssertionError):
    """The broker answers, but nothing shows that it was ever down: the scenario would prove nothing."""


@dataclass(frozen=True)
class Restart:
    """A restart that was seen to happen.

    how: "stopped" or "killed". was_started, is_started: start times of the process before and after (seconds
    since the epoch). took: seconds from the call that takes it down until a new client is answered.
    """

    how: str
    was_started: float
    is_started: float
    took: float


def restart(broker: Broker, how: str, *, while_down: Callable[[], None] | None = None) -> Restart:
    """Take the broker down, see that its address refuses connections, start it again on the same data.

    while_down: a further fault, on its files say, before it is started.
    Raises RestartNotProven when its address still accepted connections while it was down, or when the process
    that answers afterwards is not a new one; BrokerFailed when it does not stop or does not come back.
    """
    address, was_started = broker.bootstrap_servers, broker.started_at
    began = time.monotonic()
    if was_started is None:
        raise RestartNotProven(f"{broker.label} was not running when it was to be {how}")
    WAYS_DOWN[how](broker)
    if not broker.refuses_connections():
        raise RestartNotProven(f"{broker.label} was {how}, and {address} still accepts connections")
    if while_down is not None:
        while_down()
    broker.start()
    is_started = broker.started_at
    if is_started is None or is_started <= was_started:
        raise RestartNotProven(f"{broker.label} answers, but its process is the one from before it was {how}")
    if broker.bootstrap_servers != address:
        raise RestartNotProven(f"{broker.label} came back at {broker.bootstrap_servers} instead of {address}")
    return Restart(how, was_started, is_started, time.monotonic() - began)
