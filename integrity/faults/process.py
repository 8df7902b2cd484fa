"""Faults of a broker's process: taken down and started again, with proof that it really was down."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from integrity.brokers import kraft
from integrity.brokers.base import KILL_SECONDS, READY_SECONDS, Broker, BrokerFailed
from integrity.errors import NotPossible
from integrity.faults.disk.files import METADATA_LOG
from integrity.waiting import POLL_SECONDS, WaitTimeout, wait_until

#: How a broker can be taken down, in the features' words.
WAYS_DOWN: dict[str, Callable[[Broker], None]] = {
    "stopped": lambda broker: broker.stop(),
    "killed": lambda broker: broker.kill(),
}

#: What Kafka (3.9 to 4.3) logs when it was not shut down in order and begins to check a topic's log, and when it
#: serves. Of KRaft's own log it says the former at every start, even after an orderly stop, and long before it opens a
#: topic's.
RECOVERING = re.compile(rf"\[LogLoader partition=(?!{METADATA_LOG}-)[^,\]]+, [^\]]*\] Recovering unflushed segment")
SERVING = "Kafka Server started"

#: What it logs some 0.3 s before that, and how long it is then looked at without a pause (seconds).
REGISTERED = "Successfully registered broker"
CLOSE_LOOK_SECONDS = 1.0

#: Nothing particular is under way when a broker is taken down.
NOTHING = nullcontext()

#: How often a broker is started to be killed while it recovers, before the attempt is given up as too slow.
ATTEMPTS = 20


class FaultNotProven(Exception):
    """A fault was to be done and nothing shows that it was: the scenario would prove nothing.

    No AssertionError: no promise was broken, none could be checked.
    """


class DoesNotComeBack(AssertionError):
    """A broker that was taken down, and may be expected back, gives up or is not ready within the bound."""


class RestartNotProven(FaultNotProven):
    """The broker answers, but nothing shows that it was ever down."""


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


def restart(
    broker: Broker,
    how: str,
    *,
    in_the_middle_of: AbstractContextManager = NOTHING,
    while_down: Callable[[], None] | None = None,
) -> Restart:
    """Take the broker down, see that its address refuses connections, start it again on the same data.

    in_the_middle_of: what is under way when it is taken down, and until it is. while_down: a further fault, on its
    files say, before it is started.
    Raises RestartNotProven when its address still accepted connections while it was down, or when the process
    that answers afterwards is not a new one; BrokerFailed when it does not stop or cannot be started; DoesNotComeBack;
    NotPossible when it is back, and was one of several and not the one that would prove something.
    """
    address, was_started = broker.bootstrap_servers, broker.started_at
    if was_started is None:
        raise RestartNotProven(f"{broker.label} was not running when it was to be {how}")
    with in_the_middle_of:
        began = time.monotonic()
        WAYS_DOWN[how](broker)
    require_down(broker, how)
    if while_down is not None:
        while_down()
    bring_back(broker)
    is_started = broker.started_at
    if is_started is None or is_started <= was_started:
        raise RestartNotProven(f"{broker.label} answers, but its process is the one from before it was {how}")
    if broker.bootstrap_servers != address:
        raise RestartNotProven(f"{broker.label} came back at {broker.bootstrap_servers} instead of {address}")
    if broker.beside:
        raise NotPossible(broker.beside)
    return Restart(how, was_started, is_started, time.monotonic() - began)


def require_down(broker: Broker, how: str) -> None:
    """See that its address refuses connections; at once, but where somebody else listens there for it.

    Raises RestartNotProven when it goes on accepting them.
    """
    address = broker.bootstrap_servers
    try:
        wait_until(
            broker.refuses_connections,
            what=f"{address} to refuse connections, since {broker.label} was {how}",
            seconds=broker.closing_seconds,
        )
    except WaitTimeout:
        raise RestartNotProven(f"{broker.label} was {how}, and {address} still accepts connections") from None


def bring_back(broker: Broker) -> None:
    """Start it and wait until it is ready. Raises DoesNotComeBack, or BrokerFailed where it cannot even be started.

    Of somebody else's brokers it cannot be told whose fault it is that they do not come back.
    """
    broker.launch()
    if broker.kind == "external":
        broker.await_ready()
    else:
        with _coming_back(broker):
            broker.await_ready()


@contextmanager
def _coming_back(broker: Broker) -> Iterator[None]:
    """Within, it is waited for. Raises DoesNotComeBack."""
    try:
        yield
    except WaitTimeout as silent:
        # One that serves, and has not logged what is waited for, is back.
        if broker.is_usable():
            raise
        raise DoesNotComeBack(f"{broker.label} does not come back: {silent}") from silent
    except BrokerFailed as failed:
        raise DoesNotComeBack(f"{broker.label} does not come back: {failed}") from failed


def kill_while_recovering(broker: Broker, times: int, *, in_the_middle_of: AbstractContextManager = NOTHING) -> None:
    """Kill the broker, in the middle of what is under way; then start it and kill it again while it recovers, so many
    times; start it.

    It recovers from when it begins to check its topics' logs until it serves. To check them takes it some 0.1 s, which
    is too short to be met where its log is slow to be had, as from a container on a busy machine.
    A kill that comes too late does not count, and is done again.
    Raises FaultNotProven when it always serves before it can be killed, DoesNotComeBack.
    """
    with in_the_middle_of:
        broker.kill()
    done = 0
    for _ in range(ATTEMPTS):
        mark = broker.log_mark()
        broker.launch()
        with _coming_back(broker):
            wait_until(
                lambda mark=mark: _seen_to_recover(broker, mark),
                what=f"{broker.label} to recover from the kill",
                seconds=READY_SECONDS,
                check=broker.check_alive,
                poll_seconds=POLL_SECONDS,
            )
        broker.kill()
        # Only what it has logged when it is dead tells whether the kill came in time.
        log = broker.log(mark)
        done += RECOVERING.search(log) is not None and SERVING not in log
        if done == times:
            bring_back(broker)
            return
    raise FaultNotProven(
        f"{broker.label} was to be killed {times} times while it recovered; {ATTEMPTS} attempts caught it {done} times"
    )


def _seen_to_recover(broker: Broker, mark: int) -> bool:
    """Whether it has begun, since ``mark``, to check its topics' logs, or serves.

    It is through within a moment: a pause after a look at a container's log would be as long as that. So none is made
    once it is about to begin.
    """
    until = time.monotonic() + CLOSE_LOOK_SECONDS
    while True:
        log = broker.log(mark)
        if RECOVERING.search(log) or SERVING in log:
            return True
        if REGISTERED not in log or time.monotonic() >= until:
            return False


def session_seconds(broker: Broker) -> float:
    """How long a broker may be silent before its controller gives it up (``broker.session.timeout.ms``)."""
    settings = kraft.defaults(broker.config.brokers) | dict(broker.config.settings)
    return int(settings["broker.session.timeout.ms"]) / 1000


def freeze_and_thaw(
    broker: Broker,
    *,
    in_the_middle_of: AbstractContextManager = NOTHING,
    until: Callable[[], object],
    at_least: float = 0.0,
) -> float:
    """Freeze the broker, keep it so until ``until`` returns and ``at_least`` seconds are over, and let it run on.

    Returns the seconds it was frozen. It is thawed whatever ``until`` raises.
    """
    with in_the_middle_of:
        broker.freeze()
    began = time.monotonic()
    try:
        until()
        wait_until(
            lambda: time.monotonic() - began >= at_least,
            what=f"{broker.label} to have been frozen for {at_least:.1f} s",
            seconds=at_least + KILL_SECONDS,
        )
    finally:
        frozen = time.monotonic() - began
        broker.thaw()
    return frozen
