"""A publisher whose network fails at its Produce requests, so that its client sends batches again.

The faults strike several times at known requests, and that is proven. What became of the messages is in the history.

How many batches are under way is up to the client; where it may have several, that it had is proven. Without
idempotence both have several of a partition. With idempotence kafka-python 3.0 was seen to keep to one of each
partition, of several partitions at once. So was librdkafka 2.16 with batches of this size: it sends no further batch of
a partition while five messages or more are under way, and had several batches only where each was of a few messages.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from kafka.protocol.api_message import ApiMessage

from integrity.faults.network import Exchange, Fault, Proxy, Reply, answers
from integrity.faults.process import FaultNotProven
from integrity.scene import Scene
from integrity.scenes import order, publishers
from integrity.scenes.wire import InFlight, Wire, proven

#: The client whose requests are struck, and no other.
CLIENT = "publisher-with-a-bad-network"

#: Bytes of a batch: small, so that there are many.
BATCH = 4 << 10

#: Which Produce requests are struck: the first one, the step to the next, and how many.
STRIKES = {"n": 3, "every": 5, "times": 3}

#: Seconds that everything takes each way, and one request longer: those behind it come up to it meanwhile, so that
#: several are under way when the first fault strikes.
DISTANCE = 0.005
JAM = 0.3

#: Seconds for which the client waits for an answer: long, so that a slow machine is no fault of its own, and short
#: where an answer is not to come, or to come so late.
PATIENCE = 10.0
IMPATIENCE = 0.4
#: librdkafka looks once a second whether it has waited for too long.
LATE = IMPATIENCE + 1.2

#: The error of a broker that has too few replicas in sync at the moment: not stored, and may be sent again.
#: Source: kafka.apache.org/protocol, "Error Codes".
NOT_ENOUGH_REPLICAS = 19


def _refuse(proxy: Proxy, **choice: Any) -> Fault:
    """Answer instead of the broker that too few replicas are in sync at the moment."""
    del choice["api"]

    def answer(request: ApiMessage, exchange: Exchange) -> Reply:
        return Reply(answers.produced(request, exchange, error=NOT_ENOUGH_REPLICAS))

    return proxy.rewrite_request("Produce", answer, **choice)


TOO_LATE = "an acknowledgement comes too late"

#: How the network fails, in the features' words.
FAULTS: dict[str, Callable[..., Fault]] = {
    "the connection is cut before a request": Proxy.cut_before,
    "the connection is cut in the middle of a request": Proxy.cut_inside,
    "the connection is cut after messages were stored and before they were acknowledged": Proxy.lose_answer,
    "the connection is cut in the middle of an acknowledgement": Proxy.cut_inside_answer,
    "an acknowledgement vanishes": Proxy.drop_answer,
    TOO_LATE: lambda proxy, **choice: proxy.delay_answer(seconds=LATE, **choice),
    "a batch is refused for a moment": _refuse,
}


#: Those of them that a client only notices by waiting.
SILENT = frozenset({"an acknowledgement vanishes", TOO_LATE})


def publish(scene: Scene, count: int, how: str, *, idempotent: bool = True, in_flight: int = 5) -> None:
    """One publisher sends ``count`` messages while the network fails; all must be acknowledged in the end.

    how: a key of FAULTS. in_flight: the requests it may have unanswered.
    Raises FaultNotProven when the network did not fail, when no message was sent again for that, or when it never had
    several batches under way that it should have.
    """
    proxy = scene.part(Wire).proxy
    pipelines = in_flight > 1 and not idempotent
    with ExitStack() as faults:
        faults.enter_context(proxy.slow_down(DISTANCE, client=CLIENT))
        watch = faults.enter_context(InFlight(proxy, CLIENT))
        if pipelines:
            faults.enter_context(proxy.delay_request("Produce", seconds=JAM, client=CLIENT, n=STRIKES["n"] - 1))
        faults.enter_context(proven(FAULTS[how](proxy, api="Produce", client=CLIENT, **STRIKES), STRIKES["times"]))
        publishers.publish(
            scene,
            count,
            # In turn: librdkafka, left to choose, may fill one partition with all of them, and then has one batch at a
            # time under way.
            partitions=order.in_turn(scene),
            client_id=CLIENT,
            batch_bytes=BATCH,
            max_in_flight=in_flight,
            request_timeout=IMPATIENCE if how in SILENT else PATIENCE,
            delivery_timeout=60.0,
            idempotent=idempotent,
        )
    scene.facts.numbers |= {
        "requests unanswered at once": watch.requests,
        "batches unanswered at once": watch.batches,
        "messages sent again": watch.again,
    }
    if not watch.again:
        raise FaultNotProven("the publisher sent no message again: none could be there twice")
    if (watch.requests if pipelines else watch.batches) < min(in_flight, 2):
        kind = "requests" if pipelines else "batches"
        raise FaultNotProven(f"the publisher never had two {kind} unanswered at once: no order was at stake")
