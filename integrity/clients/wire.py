"""One short-lived connection that shows what a new client would meet: it is made, secured, asked and closed.

It belongs to no client library, so what goes wrong has the same plain words whichever one a run uses: nobody there,
a certificate that is not trusted, a password that is wrong. No text of an error holds a secret.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from kafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.metadata import MetadataRequest, MetadataResponse
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from integrity.clients import security
from integrity.errors import Unavailable
from integrity.waiting import scaled

#: Seconds for making the connection and for each answer, before timeout_factor.
ANSWER_SECONDS = 5.0

#: Seconds, before timeout_factor, for the same where many are asked in turn and nobody needs to answer.
LOOK_SECONDS = 2.0


class NoAnswer(Unavailable):
    """Nobody answers at the address: it cannot be resolved or reached, is silent for too long, or is Closed."""


class Closed(NoAnswer):
    """Nobody serves at the address: it refuses the connection, or closes it instead of answering."""


class AccessDenied(Unavailable):
    """Somebody answers, and the two sides do not come to terms: protocol, certificates, or credentials."""


def metadata(
    addresses: str, properties: Mapping[str, str], seconds: float = ANSWER_SECONDS, topics: Sequence[str] | None = ()
) -> MetadataResponse:
    """The cluster's brokers, and these topics (None: all), as a newcomer is told. Raises what ``ask`` does."""
    named = None if topics is None else [MetadataRequest.MetadataRequestTopic(name=name) for name in topics]
    return ask(addresses, properties, MetadataRequest[8](topics=named, allow_auto_topic_creation=False), seconds)


def ask(addresses: str, properties: Mapping[str, str], request: Any, seconds: float = ANSWER_SECONDS) -> Any:
    """What the first of ``addresses`` (by commas) that answers says to one request of kafka-python's protocol classes.

    Raises AccessDenied when one that answers does not come to terms with us, Closed when nobody serves at any of them,
    NoAnswer when none answers for whatever other reason; the text names the address.
    """
    problems: list[NoAnswer] = []
    for address in addresses.split(","):
        try:
            return _ask(address.strip(), security.parse(properties), scaled(seconds), request)
        except NoAnswer as error:
            problems.append(error)
    # One that is silent may be there all the same: then nothing is said of all being closed.
    raise next((problem for problem in problems if not isinstance(problem, Closed)), problems[0])


def missing(addresses: str, properties: Mapping[str, str], topics: Sequence[str]) -> list[str]:
    """Those of the topics that every broker that answers at the addresses (by commas) says are not there.

    None if nobody answers, or lets us in. A broker that knows of no brokers has not yet learned of topics either, and
    one that was cut off from the others may learn of a new topic seconds after them.
    """
    gone: list[set[str]] = []
    for address in addresses.split(","):
        try:
            answer = metadata(address, properties, LOOK_SECONDS, topics)
        except Unavailable:
            continue
        if answer.brokers:
            unknown = UnknownTopicOrPartitionError.errno
            gone.append({topic.name for topic in answer.topics if topic.error_code == unknown})
    return sorted(set.intersection(*gone)) if gone else []


def leaders(answer: MetadataResponse) -> dict[int, int]:
    """The leader of each partition of the one topic that ``answer`` is about, -1 where there is none.

    Empty where whoever answers knows of no such topic: brokers learn of one, or of its end, one after the other.
    """
    return {part.partition_index: part.leader_id for part in answer.topics[0].partitions}


def _ask(address: str, secured: security.Security, seconds: float, request: Any) -> Any:
    host, _, port = address.rpartition(":")
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=seconds) as plain,
            _secured(plain, host.strip("[]"), secured) as connection,
        ):
            wire = _Wire(connection)
            if secured.uses_sasl:
                _log_in(wire, host, secured)
            return wire.ask(request)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        raise Closed(f"{address}: {_tls_words(error)}") from error
    except ssl.SSLError as error:
        raise AccessDenied(f"{address}: {_tls_words(error)}") from error
    except _LogInFailed as error:
        raise AccessDenied(f"{address}: {error}") from error
    except (EOFError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError) as error:
        raise Closed(_other_words(address, secured)) from error
    except (ValueError, KafkaError) as error:
        raise AccessDenied(_other_words(address, secured)) from error
    except ConnectionRefusedError as error:
        raise Closed(f"{address} cannot be reached: {error.strerror or error}") from error
    except socket.gaierror as error:
        raise NoAnswer(f"{address}: the host's name cannot be resolved") from error
    except TimeoutError as error:
        raise NoAnswer(f"{address} does not answer within {seconds:.0f} s") from error
    except OSError as error:
        raise NoAnswer(f"{address} cannot be reached: {error.strerror or error}") from error


def _other_words(address: str, secured: security.Security) -> str:
    return (
        f"{address} closes the connection or answers with something else; it may want another security.protocol "
        f"than {secured.protocol}"
    )


def _secured(plain: socket.socket, host: str, secured: security.Security) -> socket.socket:
    return secured.context().wrap_socket(plain, server_hostname=host) if secured.uses_tls else plain


class _Wire:
    """Requests and answers over a connection, one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._protocol = KafkaProtocol(client_id="kafka-integrity-probe")

    def ask(self, request: Any) -> Any:
        self._protocol.send_request(request)
        self._connection.sendall(self._protocol.send_bytes())
        while True:
            data = self._connection.recv(65536)
            if not data:
                raise EOFError("the connection was closed")
            for _, answer in self._protocol.receive_bytes(data):
                return answer


class _LogInFailed(Exception):
    """The words for why the cluster did not let us in."""


def _log_in(wire: _Wire, host: str, secured: security.Security) -> None:
    answer = wire.ask(SaslHandshakeRequest[1](mechanism=secured.mechanism))
    if answer.error_code:
        offered = ", ".join(answer.mechanisms) or "none"
        raise _LogInFailed(f"the cluster does not take sasl.mechanism {secured.mechanism} here; it offers {offered}")
    mechanism = get_sasl_mechanism(secured.mechanism)(
        host=host,
        security_protocol=secured.protocol,
        sasl_mechanism=secured.mechanism,
        sasl_plain_username=secured.username,
        sasl_plain_password=secured.password,
    )
    while not mechanism.is_done():
        answer = wire.ask(SaslAuthenticateRequest[1](auth_bytes=mechanism.auth_bytes()))
        if answer.error_code:
            name = for_code(answer.error_code).__name__
            raise _LogInFailed(
                f"the cluster does not accept user {secured.username!r} with this password by {secured.mechanism} "
                f"({name}); check sasl.jaas.config"
            )
        try:
            mechanism.receive(answer.auth_bytes)
        except ValueError as error:
            raise _LogInFailed(
                f"the cluster does not prove that it knows the password ({secured.mechanism})"
            ) from error


def _tls_words(error: ssl.SSLError) -> str:
    """Why TLS did not come about, and which property to look at."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if "ostname" in error.verify_message or "IP address" in error.verify_message:
            return f"the broker's certificate is not for this host ({error.verify_message.rstrip('.')})"
        return f"the broker's certificate is not trusted ({error.verify_message}); check ssl.truststore.location"
    reason = str(error.reason or "").replace("_", " ").lower()
    if "certificate required" in reason or "bad certificate" in reason or "unknown ca" in reason:
        return f"the cluster wants another client certificate ({reason}); check ssl.keystore.location"
    if "handshake failure" in reason:
        return f"the cluster ended the TLS handshake ({reason}); it may want a client certificate"
    return f"no TLS connection can be made ({reason or error}); check security.protocol"
