"""The proxy's process when it is not well: told with its log, within a bound, and nothing of it is left."""

from __future__ import annotations

import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import psutil
import pytest
from kafka.protocol.metadata import MetadataRequest

from integrity.brokers.probe import split_address
from integrity.faults.network import Proxy, ProxyFailed, codec, process
from integrity.faults.network.exchange import Ask
from integrity.faults.network.process import Process
from integrity.runs import Run
from integrity.waiting import attended, nothing, wait_until

#: Seconds for what without its bound would last for ever.
FOR_EVER = 20.0


@pytest.fixture
def run() -> Iterator[Run]:
    """A run of its own, so that no process is kept for it: whatever is left at the end is left by the test."""
    before = _held()
    run = Run.begin()
    yield run
    run.end()
    assert _held() == before


def _held() -> tuple[int, int, list[psutil.Process]]:
    # What earlier tests have dropped, clients with their sockets say, goes now or at any later moment.
    gc.collect()
    me = psutil.Process()
    return threading.active_count(), me.num_fds(), [child for child in me.children() if "proxy" in str(child.cmdline())]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short bounds."""
    for name in ("COMMAND", "TELL", "END", "REWRITE"):
        monkeypatch.setattr(process, f"{name}_SECONDS", 0.3)


def crash(proxy: Proxy) -> None:
    """Let its process end by an error of its own."""
    proxy._process.tell("nothing that it knows")
    proxy._process._process.wait(FOR_EVER)


def kill(proxy: Proxy) -> None:
    proxy._process._process.kill()


def freeze(proxy: Proxy) -> None:
    psutil.Process(proxy.pid).suspend()


@pytest.mark.parametrize(
    ("die", "words"),
    [(crash, r"ended with 1:\n(.|\n)*AttributeError: 'str' object"), (kill, r"ended with -9")],
    ids=["an error of its own", "killed"],
)
@pytest.mark.parametrize("another_is_kept", [False, True])
def test_one_that_has_died_is_raised_with_its_log_when_its_proxy_is_closed(
    run: Run, die: Callable[[Proxy], None], words: str, another_is_kept: bool
) -> None:
    """Without, a scenario passes on a network whose faults ended in the middle of it."""
    proxy, another = Proxy(run), Proxy(run)
    proxy.link("broker", "127.0.0.1:1")
    if another_is_kept:
        another.close()
    die(proxy)
    with pytest.raises(ProxyFailed, match=words):
        proxy.close()
    assert not run._leases
    assert not proxy._rewriting.is_alive()
    assert not proxy._process._folder.exists()
    another.close()
    with Proxy(run) as following:
        assert following.pid == another.pid


def test_one_that_died_unnoticed_is_told_by_how_it_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe breaks before the thread that listens to it has seen its end; "broken pipe" says nothing of why."""
    proxy = Proxy(run)
    kill(proxy)
    wait_until(lambda: proxy._process._ended, what="the thread to see the end", seconds=10)
    with monkeypatch.context() as unnoticed:
        unnoticed.setattr(proxy._process, "_ended", False)
        with pytest.raises(ProxyFailed, match="the proxy's process ended with -9"):
            proxy.connections()
    with pytest.raises(ProxyFailed, match="ended with -9"):
        proxy.close()


def test_one_that_died_unused_is_told_to_the_next_proxy(run: Run) -> None:
    """It served its proxy well, so it fails nobody; but its log is not to be lost."""
    proxy = Proxy(run)
    proxy.close()
    crash(proxy)
    events: list[tuple[str, str, str]] = []
    with Proxy(run, listener=lambda *event: events.append(event)) as following:
        assert following.pid != proxy.pid
    ((_, what, detail),) = events
    assert what == "the process of an earlier proxy was replaced"
    assert "AttributeError" in detail


def test_what_else_went_wrong_stands_beside_what_went_wrong_first(run: Run, short: None) -> None:
    proxy = Proxy(run)
    proxy._rewriting.errors.append(KeyError("oops"))
    kill(proxy)
    with pytest.raises(KeyError, match="oops") as caught:
        proxy.close()
    assert "and ProxyFailed: the proxy's process ended with -9" in caught.value.__notes__[0]


def test_one_that_does_not_start_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SERVER", "tests.no_such_module")
    with pytest.raises(ProxyFailed, match=r"ended with 1:\n.*No module named tests.no_such_module"):
        Proxy(run)
    assert not list(run.directory.glob("proxy-*"))


def test_one_that_dies_in_the_middle_of_a_message_is_not_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket's error then is none of those of a connection that is lost."""
    monkeypatch.setattr(process, "SERVER", "tests.dying_proxy")
    monkeypatch.setattr(process, "COMMAND_SECONDS", FOR_EVER)
    proxy = Proxy(run)
    with pytest.raises(ProxyFailed, match=r"ended with 1:\nthe last words"):
        proxy.connections()
    with pytest.raises(ProxyFailed, match=r"ended with 1:\nthe last words"):
        proxy.close()


# -- waits ------------------------------------------------------------------------------------------------
def test_one_that_does_nothing_any_more_is_ended(run: Run, short: None) -> None:
    proxy = Proxy(run)
    freeze(proxy)
    with pytest.raises(ProxyFailed, match="the proxy did not renew: no answer within"):
        proxy.close()
    assert proxy._process._process.returncode == -signal.SIGKILL


def test_one_that_does_not_end_is_killed_and_told(run: Run, short: None) -> None:
    one = Process(run, lambda _: None)
    psutil.Process(one.pid).suspend()
    with pytest.raises(ProxyFailed, match=r"did not end within 0.3 s of being told to, and was killed"):
        one.close()


def test_one_that_takes_no_message_is_not_waited_for(run: Run, short: None) -> None:
    one = Process(run, lambda _: None)
    psutil.Process(one.pid).suspend()
    try:
        with pytest.raises(TimeoutError, match=r"took no message within 0.3 s"):
            attended(lambda: one.tell(b"more than the socket holds" * 1_000_000), nothing, FOR_EVER)
    finally:
        one._process.kill()
        with pytest.raises(ProxyFailed, match="ended with -9"):
            one.close()


def test_one_that_closed_its_end_and_is_still_there_is_not_waited_for(run: Run, short: None) -> None:
    one = Process(run, lambda _: None)
    psutil.Process(one.pid).suspend()
    one._ended = True
    with pytest.raises(ProxyFailed, match=r"closed its end, and is still there 0.3 s later"):
        attended(one.check, nothing, FOR_EVER)
    with pytest.raises(ProxyFailed, match="was killed"):
        one.close()


def test_a_listener_that_does_not_come_back_is_told(run: Run, short: None) -> None:
    go, there = threading.Event(), threading.Event()

    def hold_up(*_: object) -> None:
        there.set()
        go.wait(FOR_EVER)

    with socket.create_server(("127.0.0.1", 0)) as broker:
        proxy = Proxy(run, f"127.0.0.1:{broker.getsockname()[1]}", listener=hold_up)
        with socket.create_connection(split_address(proxy.bootstrap_servers), FOR_EVER) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")  # an event says that this is no Kafka frame
            assert there.wait(FOR_EVER)
            with pytest.raises(ProxyFailed, match=r"still there 0.3 s later: a listener is held up"):
                attended(proxy.close, nothing, FOR_EVER)
    assert not run._leases
    go.set()
    wait_until(lambda: not proxy._process._thread.is_alive(), what="the listener's thread to end", seconds=FOR_EVER)


def test_a_rewriting_function_that_does_not_come_back_is_told(run: Run, short: None) -> None:
    go = threading.Event()
    proxy = Proxy(run)
    port = proxy.link("broker").address
    proxy._functions[1] = (lambda *_: go.wait(FOR_EVER) and None, None)
    head = codec.Head(1, 1, "broker", "somebody", 3, 12, 7)
    frame = codec.encode(MetadataRequest[12](topics=None), head.api, head.version, head.correlation, head.client)
    proxy._rewriting.put(Ask(1, [1], head, frame, True, None))
    with pytest.raises(ProxyFailed, match=r"waited 0.3 s for the rewriting function at Metadata.* to end, in vain"):
        attended(proxy.close, nothing, FOR_EVER)
    assert not run._leases, port
    go.set()
    wait_until(lambda: not proxy._rewriting.is_alive(), what="the function to end", seconds=FOR_EVER)
