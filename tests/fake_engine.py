"""An address where something answers as a container engine does, or fails as one does; no container ever runs."""

from __future__ import annotations

import base64
import http.server
import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

#: Sends an answer: given the request's handler.
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def says(content: object, status: int = 200) -> Answer:
    """An answer with this content, as JSON."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        data = json.dumps(content).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def hangs_up(handler: http.server.BaseHTTPRequestHandler) -> None:
    """No answer: the connection is closed."""
    handler.close_connection = True


def fails(handler: http.server.BaseHTTPRequestHandler) -> None:
    """The engine's own failure, of two lines."""
    says({"message": "it is broken\nand stays so"}, 500)(handler)


def breaks_off(handler: http.server.BaseHTTPRequestHandler) -> None:
    """The first part of a stream; then the connection is closed."""
    part = json.dumps({"status": "Downloading"}).encode() + b"\r\n"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
    handler.close_connection = True


#: Of the one container that there may be.
CONTAINER_ID = "0123456789abcdef"


class FakeEngine:
    """An engine with nothing in it. ``answers``: by the end of a path, what is answered instead of that."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: dict[str, Answer] = {}
        #: The paths that were asked for, with their queries.
        self.asked: list[str] = []
        #: What containers were made of, by the engine's names for it.
        self.containers: list[dict[str, object]] = []
        #: What was said to a registry by way of the engine, as the header X-Registry-Auth has it, by path.
        self.credentials: dict[str, dict[str, str]] = {}
        #: Set at the end: what was not to answer in time need not be silent any longer.
        self.over = threading.Event()

    def pretends_to_run(self, image: str) -> dict[str, object]:
        """Let it start a container of this image, freeze it, let it run on and kill it: returns the container's state,
        which is all there is of it, and which may be changed.
        """
        state: dict[str, object] = {"Running": False, "Paused": False}

        def becomes(**new: bool) -> Answer:
            def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
                state.update(new)
                says({})(handler)

            return answer

        def unpause(handler: http.server.BaseHTTPRequestHandler) -> None:
            if not state["Paused"]:
                return says({"message": f"Container {CONTAINER_ID} is not paused"}, 409)(handler)
            return becomes(Paused=False)(handler)

        def inspect(handler: http.server.BaseHTTPRequestHandler) -> None:
            says({"Id": CONTAINER_ID, "State": state, "Config": {"Tty": True}})(handler)

        its = f"/containers/{CONTAINER_ID}"
        self.answers |= {
            f"/images/{image}/json": says({"Id": "sha256:0"}),
            "/volumes/create": says({"Name": "a volume"}, 201),
            "/containers/create": says({"Id": CONTAINER_ID}, 201),
            f"{its}/json": inspect,
            f"{its}/logs": says("all that it has logged"),
            f"{its}/start": becomes(Running=True, Paused=False),
            f"{its}/pause": becomes(Paused=True),
            f"{its}/unpause": unpause,
            f"{its}/kill": becomes(Running=False, Paused=False),
        }
        return state

    def is_silent(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """No answer, and the connection stays open."""
        self.over.wait()
        handler.close_connection = True

    def stops_in_the_middle(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """The first part of a stream, and no more."""
        breaks_off(handler)
        self.is_silent(handler)


_NOTHING: Mapping[str, Answer] = {
    "/version": says({"ApiVersion": "1.44", "Version": "0"}),
    "/containers/json": says([]),
    "/volumes": says({"Volumes": []}),
    "/networks": says([]),
}


class _Socket(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def fake_engine(socket: Path | None = None) -> Iterator[FakeEngine]:
    """One on loopback, or at the socket of that name."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            engine.asked.append(self.path)
            # Left unread, it would be taken for the connection's next request.
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            if path.endswith("/containers/create"):
                engine.containers.append(json.loads(sent))
            if said := self.headers.get("X-Registry-Auth"):
                engine.credentials[path.rpartition("/images/")[2]] = json.loads(base64.urlsafe_b64decode(said))
            for end, answer in (_NOTHING | engine.answers).items():
                if path.endswith(end):
                    return answer(self)
            return says({"message": "No such image: or anything else"}, 404)(self)

        do_POST = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if socket is None
        else _Socket(str(socket), Handler) as server
    ):
        engine = FakeEngine(f"tcp://127.0.0.1:{server.server_port}" if socket is None else f"unix://{socket}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield engine
        finally:
            engine.over.set()
            server.shutdown()
            thread.join()
