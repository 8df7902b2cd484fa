"""What is asked of a cluster beside reading and publishing, whichever client does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from integrity.clients.types import Connection, Partition
from integrity.waiting import wait_until

if TYPE_CHECKING:
    from kafka.protocol.metadata import MetadataResponse

T = TypeVar("T")

#: Seconds for a request, before timeout_factor.
SECONDS = 30.0

#: What the controller gives as the reason of an INVALID_REPLICATION_FACTOR where every broker is fenced: a single one
#: is for a moment when its machine has kept it from a heartbeat. Source: ``StripedReplicaPlacer`` of Kafka 4.3.
ALL_FENCED = "All brokers are currently fenced"


class Admin(ABC):
    """What is asked of a cluster beside reading and publishing.

    What is not this run's (see Connection.prefix) is refused with ValueError before anything is asked for.
    Errors of the client library pass through as they are. ``seconds`` is a bound before timeout_factor.
    """

    #: Set by each implementation: what a topic's name must begin with, and what a group's gets; see Connection.
    connection: Connection

    def _must_be_own(self, topic: str) -> None:
        if self.connection.own(topic) != topic:
            raise ValueError(f"topic {topic} is not this run's: here its name begins with {self.connection.prefix}")

    def create_topic(
        self,
        topic: str,
        *,
        partitions: int = 1,
        replication: int = 1,
        configs: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> None:
        """Create it and wait until every partition has a leader that every broker knows of."""
        self._must_be_own(topic)
        self._once_answered(
            lambda: self._create_topic(topic, partitions, replication, dict(configs or {}), seconds),
            f"a broker for topic {topic} that is not fenced",
            seconds,
        )
        self.wait_for_leaders(topic, partitions, seconds)

    def delete_topic(self, topic: str, seconds: float = SECONDS) -> None:
        """Delete it and wait until no broker's metadata names it any more."""
        self._must_be_own(topic)
        self._delete_topic(topic, seconds)
        content: set[str] = set()  # what one broker has forgotten it does not come to know again
        wait_until(
            lambda: self._is_gone(topic, content),
            what=f"topic {topic} to be gone",
            seconds=seconds,
            check=self.connection.check,
        )

    def add_partitions(self, topic: str, total: int, seconds: float = SECONDS) -> None:
        """Raise the topic's number of partitions to ``total`` and wait until every one has a leader."""
        self._must_be_own(topic)
        self._once_answered(
            lambda: self._add_partitions(topic, total, seconds),
            f"a broker for more of topic {topic} that is not fenced",
            seconds,
        )
        self.wait_for_leaders(topic, total, seconds)

    def wait_for_leaders(self, topic: str, partitions: int, seconds: float = SECONDS) -> None:
        """Wait until every broker's metadata names ``partitions`` partitions, each with a leader. Raises WaitTimeout.

        Every broker's: whichever a client asks next must not say that there is no such topic.
        """

        def led(leaders: Mapping[int, int]) -> bool:
            return sum(leader >= 0 for leader in leaders.values()) == partitions

        content: set[str] = set()
        wait_until(
            lambda: led(self.leaders(topic)) and self._every_broker_says(topic, led, content),
            what=f"every broker to know a leader for every partition of topic {topic}",
            seconds=seconds,
            check=self.connection.check,
        )

    def _is_gone(self, topic: str, content: set[str]) -> bool:
        """Whether no broker knows of the topic; False where one of them does not say. content: as below."""
        return not self.leaders(topic) and self._every_broker_says(topic, lambda leaders: not leaders, content)

    def _every_broker_says(self, topic: str, is_so: Callable[[dict[int, int]], bool], content: set[str]) -> bool:
        """Whether that is so of the topic's leaders as each broker tells them (see ``wire.leaders``); False where one
        does not answer.

        content: the addresses of those of which it was so before, which are not asked again; more are added.
        """
        from integrity.clients import wire  # with it comes kafka-python, which not every client is

        def told(addresses: str) -> MetadataResponse:
            return wire.metadata(addresses, self.connection.properties, wire.LOOK_SECONDS, [topic])

        try:
            first = told(self.connection.bootstrap_servers)
            if len(first.brokers) < 2:
                return is_so(wire.leaders(first))
            for broker in first.brokers:
                address = f"{broker.host}:{broker.port}"
                if address not in content:
                    if not is_so(wire.leaders(told(address))):
                        return False
                    content.add(address)
        except wire.NoAnswer:
            return False
        return True

    def _offsets_once_led(
        self, topics: Sequence[str], ask: Callable[[list[Partition]], dict[Partition, int] | None], seconds: float
    ) -> dict[Partition, int]:
        """What ``ask`` answers for all partitions of ``topics``, once each has a leader that knows that it leads.

        A topic has none when every broker says so: one alone may not have learned of it yet.
        ask: returns None where a leader was elected, or went, just now: client libraries leave asking again to us.
        """

        def ask_if_led() -> dict[Partition, int] | None:
            found = {topic: self.leaders(topic) for topic in topics}
            leaders = {(topic, number): leader for topic, its in found.items() for number, leader in its.items()}
            if any(leader < 0 for leader in leaders.values()):
                return None
            if not all(its or self._is_gone(topic, set()) for topic, its in found.items()):
                return None
            return ask(list(leaders)) if leaders else {}

        return self._once_answered(ask_if_led, f"the offsets of {', '.join(topics)}", seconds)

    def _once_answered(self, ask: Callable[[], T | None], what: str, seconds: float) -> T:
        """What ``ask`` answers once that is not None; what: what is waited for, in words.

        It is None while a leader or a coordinator has just begun, or ceased, to be that, or all brokers are fenced:
        client libraries leave asking again to us.
        """
        answers: list[T] = []

        def answered() -> bool:
            answer = ask()
            if answer is not None:
                answers.append(answer)
            return answer is not None

        wait_until(answered, what=what, seconds=seconds, check=self.connection.check)
        return answers[0]

    @abstractmethod
    def topics(self) -> list[str]:
        """The names of all topics, Kafka's internal ones left out."""

    @abstractmethod
    def leaders(self, topic: str) -> dict[int, int]:
        """The leader of each partition, -1 where there is none; empty when there is no such topic."""

    @abstractmethod
    def configs(self, topic: str) -> dict[str, str]:
        """The topic's whole configuration, defaults included."""

    def set_configs(self, topic: str, configs: Mapping[str, str], seconds: float = SECONDS) -> None:
        """Change these entries of the topic's configuration, leaving the others.

        Brokers name, and go by, what was changed a moment after this has returned.
        """
        self._must_be_own(topic)
        self._set_configs(topic, configs, seconds)

    @abstractmethod
    def beginning_offsets(self, topics: Sequence[str], seconds: float = SECONDS) -> dict[Partition, int]:
        """Each partition's first offset that has not been deleted."""

    @abstractmethod
    def end_offsets(
        self, topics: Sequence[str], seconds: float = SECONDS, *, committed_only: bool = False
    ) -> dict[Partition, int]:
        """Each partition's high watermark: one past the last record, transaction markers included.

        committed_only: the last stable offset instead, where an open transaction holds a committed reader.
        """

    @abstractmethod
    def offsets_at(self, topics: Sequence[str], timestamp: int, seconds: float = SECONDS) -> dict[Partition, int]:
        """Each partition's first offset whose timestamp (ms) is at or after the given one; -1 where there is none."""

    @abstractmethod
    def committed(self, group: str, seconds: float = SECONDS) -> dict[Partition, int]:
        """What the consumer group has committed: the next offset to be read, by partition.

        What a transaction commits for the group may show a moment after that was acknowledged.
        """

    def delete_records(self, before: Mapping[Partition, int], seconds: float = SECONDS) -> None:
        """Delete every record below the given offset of each partition."""
        for topic, _ in before:
            self._must_be_own(topic)
        self._delete_records(before, seconds)

    @abstractmethod
    def delete_group(self, group: str, seconds: float = SECONDS) -> None:
        """Forget a consumer group that has no members."""

    @abstractmethod
    def members(self, group: str, seconds: float = SECONDS) -> int:
        """How many members the group's coordinator counts."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @abstractmethod
    def _create_topic(
        self, topic: str, partitions: int, replication: int, configs: dict[str, str], seconds: float
    ) -> bool | None:
        """True; None where nothing was created as no broker is there that is not fenced."""

    @abstractmethod
    def _delete_topic(self, topic: str, seconds: float) -> None: ...

    @abstractmethod
    def _add_partitions(self, topic: str, total: int, seconds: float) -> bool | None:
        """True; None where nothing was added as no broker is there that is not fenced."""

    @abstractmethod
    def _set_configs(self, topic: str, configs: Mapping[str, str], seconds: float) -> None: ...

    @abstractmethod
    def _delete_records(self, before: Mapping[Partition, int], seconds: float) -> None: ...

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
