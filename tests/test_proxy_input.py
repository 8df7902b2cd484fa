"""What the proxy does with bytes that are no Kafka frames, and with frames it cannot read."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kafka.protocol.consumer import FetchResponse
from kafka.protocol.metadata import ApiVersionsRequest, ApiVersionsResponse, MetadataResponse

from integrity.brokers import probe
from integrity.brokers.embedded import EmbeddedBroker
from integrity.faults.network import Exchange, Proxy, Reply, codec, process
from integrity.faults.network.addresses import Addresses
from integrity.faults.network.rules import Action, Rule, Tally, Where
from integrity.runs import Run
from integrity.waiting import wait_until

#: Seconds; the broker closes what it cannot read at once.
BOUND = 10.0


class Front:
    """A proxy, its events, and plain connections to it."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.events: list[tuple[str, str]] = []
        proxy.listener = lambda _, what, detail: self.events.append((what, detail))

    @contextmanager
    def connect(self) -> Iterator[socket.socket]:
        with socket.create_connection(probe.split_address(self.proxy.bootstrap_servers), timeout=BOUND) as connection:
            yield connection

    def whats(self) -> list[str]:
        return [what for what, _ in self.events]

    def wait_for(self, what: str) -> str:
        wait_until(lambda: what in self.whats(), what=f"the event {what!r}", seconds=BOUND)
        return next(detail for word, detail in self.events if word == what)


@pytest.fixture(scope="module")
def shared(run: Run, broker: EmbeddedBroker) -> Iterator[Proxy]:
    with Proxy(run, broker.bootstrap_servers) as proxy:
        yield proxy


@pytest.fixture
def front(shared: Proxy) -> Iterator[Front]:
    yield Front(shared)
    shared.lift_all()
    shared.check()


def read_to_end(connection: socket.socket) -> bytes:
    """All bytes until the other side closes; a reset is an end as well."""
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def api_versions(correlation: int = 5, version: int = 3, client: str | None = "raw") -> bytes:
    request = ApiVersionsRequest[3](client_software_name="test", client_software_version="1")
    frame = bytearray(codec.encode(request, 18, 3, correlation, client))
    frame[6:8] = struct.pack(">h", version)
    return bytes(frame)


def answer(connection: socket.socket) -> bytes:
    size = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "big")
    return connection.recv(size, socket.MSG_WAITALL)


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\nHost: kafka\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # the start of TLS
        struct.pack(">i", 2**31 - 1) + bytes(1000),  # a frame of 2 GB
        struct.pack(">i", -1) + bytes(20),
        struct.pack(">i", 3) + b"abc",
        bytes(64),
    ],
    ids=["http", "tls", "2 GB", "negative", "short", "zeros"],
)
def test_no_frame_is_an_event_and_the_broker_closes_the_connection(front: Front, junk: bytes) -> None:
    with front.connect() as connection:
        connection.sendall(junk)
        read_to_end(connection)
    assert repr(junk[:4])[2:-1] in front.wait_for("no Kafka frame")
    with front.connect() as connection:  # others are not concerned
        connection.sendall(api_versions())
        assert answer(connection)[:4] == struct.pack(">i", 5)


def test_a_frame_may_come_byte_by_byte(front: Front) -> None:
    with front.proxy.rewrite("ApiVersions", request=lambda *_: None), front.connect() as connection:
        for correlation in (1, 2):
            for byte in api_versions(correlation):
                connection.sendall(bytes([byte]))
            assert answer(connection)[:4] == struct.pack(">i", correlation)
    with front.connect() as connection:
        for byte in api_versions(3, client=None):
            connection.sendall(bytes([byte]))
        assert answer(connection)[:4] == struct.pack(">i", 3)
    assert front.whats() == ["lifted"]


def test_half_a_frame_and_the_end_reach_the_broker_as_such(front: Front) -> None:
    with front.proxy.rewrite("ApiVersions", request=lambda *_: None), front.connect() as connection:
        connection.sendall(api_versions()[:20])
        connection.shutdown(socket.SHUT_WR)
        assert read_to_end(connection) == b""


def test_an_unknown_version_passes_unread(front: Front) -> None:
    with front.proxy.rewrite("ApiVersions", request=lambda *_: None), front.connect() as connection:
        connection.sendall(api_versions(version=99))
        assert answer(connection)[4:6] == struct.pack(">h", 35)  # UNSUPPORTED_VERSION, from the broker
    assert "ApiVersions v99 is not known" in front.wait_for("passed unread")


def test_an_unknown_api_passes_to_the_broker_which_closes(front: Front) -> None:
    frame = struct.pack(">hhih", 999, 0, 1, -1)
    with front.proxy.rewrite(request=lambda *_: None), front.connect() as connection:
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        assert read_to_end(connection) == b""
    assert "API 999 v0" in front.wait_for("passed unread")


def test_requests_in_flight_when_a_rule_comes_are_answered(front: Front) -> None:
    seen: list[int] = []

    def look(message: object, exchange: Exchange) -> None:
        seen.append(exchange.head.correlation)
        assert exchange.request is not None or exchange.head.correlation == 1

    with front.proxy.blackhole() as silence, front.connect() as connection:
        connection.sendall(api_versions(1))
        with front.proxy.rewrite_answer("ApiVersions", look):
            silence.lift()
            connection.sendall(api_versions(2) + api_versions(3))
            for correlation in (1, 2, 3):
                assert answer(connection)[:4] == struct.pack(">i", correlation)
    assert seen[-2:] == [2, 3]


def test_what_only_holds_up_is_not_said_to_have_struck_0_times(front: Front) -> None:
    """The events stand in the reports: "struck 0 times" would say that the fault was in vain."""
    for fault in (front.proxy.blackhole(), front.proxy.slow_down(0.01), front.proxy.throttle(1000)):
        fault.lift()
    front.proxy.cut_off(client="nobody").lift()
    said = [detail for what, detail in front.events if what == "lifted"]
    assert said == ["blackhole", "slowed down by 0.01 s", "throttled to 1000 bytes/s", "cut off, which struck 0 times"]


def test_a_function_may_use_the_proxy(front: Front) -> None:
    wait_until(lambda: not front.proxy.connections(), what="the connections of earlier tests to be gone", seconds=BOUND)
    count: list[int] = []

    def look(message: object, exchange: Exchange) -> None:
        count.append(len(front.proxy.connections()))

    with front.proxy.rewrite_request("ApiVersions", look), front.connect() as connection:
        connection.sendall(api_versions())
        answer(connection)
    assert count == [1]


def test_a_function_that_hangs_hangs_its_own_connection_only(front: Front) -> None:
    go = threading.Event()
    with (
        front.proxy.rewrite_request("ApiVersions", lambda *_: go.wait(BOUND) and None, client="slow"),
        front.connect() as slow,
        front.connect() as other,
    ):
        slow.sendall(api_versions(client="slow"))
        other.sendall(api_versions())
        assert answer(other)
        go.set()
        assert answer(slow)


@pytest.fixture
def run_of_its_own() -> Iterator[Run]:
    """Its proxies have a new process, which is told the bounds of the moment."""
    run = Run.begin()
    yield run
    run.end()


def test_a_function_that_does_not_come_back_costs_its_connection_and_is_told(
    run_of_its_own: Run, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the bound, who waits for the answer waits until its own."""
    monkeypatch.setattr(process, "REWRITE_SECONDS", 0.3)
    go = threading.Event()
    with Proxy(run_of_its_own, broker.bootstrap_servers) as proxy:
        front = Front(proxy)
        with (
            proxy.rewrite_request("ApiVersions", lambda *_: go.wait(BOUND) and None, client="slow"),
            front.connect() as slow,
            front.connect() as other,
        ):
            slow.sendall(api_versions(client="slow"))
            assert read_to_end(slow) == b"", "the connection is closed, with nothing passed on"
            assert front.wait_for("rewriting took too long").startswith("over 0 s for ApiVersions")
            other.sendall(api_versions())
            assert answer(other), "the others are not concerned"
            go.set()


def test_replies_keep_their_place_among_the_brokers_answers(front: Front) -> None:
    def reply(message: object, exchange: Exchange) -> Reply | None:
        if exchange.head.correlation % 3:
            return None
        return Reply(ApiVersionsResponse[3](error_code=0, api_keys=[], throttle_time_ms=exchange.head.correlation))

    with (
        front.proxy.rewrite_request("ApiVersions", reply),
        front.proxy.delay_answer("ApiVersions", n=2, seconds=0.1),
        front.connect() as connection,
    ):
        connection.sendall(b"".join(api_versions(number) for number in range(1, 10)))
        for number in range(1, 10):
            body = answer(connection)
            assert body[:4] == struct.pack(">i", number)
            assert (len(body) < 20) == (number % 3 == 0)


# -- parts ------------------------------------------------------------------------------------------------
def test_addresses_of_new_leaders_are_replaced_as_well() -> None:
    addresses = Addresses()
    head = codec.Head(1, 1, "a", "c", 1, 16, 9)
    assert not addresses.concern(1, 16)
    addresses.lead(("127.0.0.1", 1001), ("127.0.0.1", 2001))
    assert not addresses.concern(1, 16)  # a single broker has nobody to tell of
    addresses.lead(("127.0.0.1", 1002), ("127.0.0.1", 2002))
    assert addresses.concern(1, 16)
    assert not addresses.concern(1, 15)
    kind = FetchResponse.NodeEndpoint
    nodes = [kind(node_id=n, host="127.0.0.1", port=1000 + n, rack=None, version=16) for n in (1, 2, 3)]
    frame = codec.encode(FetchResponse[16](responses=[], node_endpoints=nodes), 1, 16, 9)
    changed, _ = addresses.replace(frame, head)
    message = codec.decode(changed, 1, 16, request=False)
    assert [node.port for node in message.node_endpoints] == [2001, 2002, 1003]
    plain = codec.encode(FetchResponse[16](responses=[]), 1, 16, 9)
    assert addresses.replace(plain, head)[0] is plain


def test_only_addresses_with_a_link_are_replaced() -> None:
    addresses = Addresses()
    addresses.lead(("127.0.0.1", 1001), ("127.0.0.1", 2001))
    kind = MetadataResponse.MetadataResponseBroker
    brokers = [kind(node_id=n, host="127.0.0.1", port=1000 + n, rack=None, version=12) for n in (1, 2)]
    frame = codec.encode(MetadataResponse[12](brokers=brokers, topics=[]), 3, 12, 1)
    changed, _ = addresses.replace(frame, codec.Head(1, 1, "a", "c", 3, 12, 1))
    message = codec.decode(changed, 3, 12, request=False)
    assert [broker.port for broker in message.brokers] == [2001, 1002]


@pytest.mark.parametrize(
    ("n", "every", "times", "expected"),
    [(1, 1, 1, [1]), (3, 1, 1, [3]), (2, 1, 3, [2, 3, 4]), (2, 3, None, [2, 5, 8]), (1, 1, None, [*range(1, 10)])],
)
def test_counting(n: int, every: int, times: int | None, expected: list[int]) -> None:
    tally = Tally(Rule(1, Action.DROP_REQUEST, Where(), n=n, every=every, times=times))
    assert [occasion for occasion in range(1, 10) if tally.strikes()] == expected
    assert tally.spent == (times is not None)


def test_where() -> None:
    where = Where(client="pay-*", link="b")
    assert where.fits_connection(1, "b", "pay-1")
    assert not where.fits_connection(1, "a", "pay-1")
    assert not where.fits_connection(1, "b", None)
    assert Where().fits_connection(1, "a", None)
    assert Where(topic="t").fits_message({"t", "u"}, set())
    assert not Where(transactional_id="x").fits_message({"x"}, set())
