"""Which broker a run uses, and why.

``auto`` takes Docker where an engine answers and the image is there or can be pulled, and otherwise the
embedded broker, which needs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from integrity.brokers import engine, kinds, kraft
from integrity.brokers.base import Broker, BrokerConfig, BrokerFailed
from integrity.brokers.cluster import SIZE, Cluster
from integrity.errors import NotPossible, Unavailable
from integrity.runs import Run
from integrity.settings import Settings


@dataclass(frozen=True)
class Choice:
    """kind: of integrity.brokers.kinds; reason: a sentence for the console and the report."""

    kind: str
    reason: str


def choose(settings: Settings) -> Choice:
    """Decide, pulling the image where that is what ``auto`` or ``docker`` needs.

    Raises Unavailable or BadOption, in one line, when what was asked for cannot be had.
    """
    if settings.broker == "auto":
        return _automatic(settings)
    return Choice(settings.broker, kinds.load(settings.broker).reason(settings))


def _automatic(settings: Settings) -> Choice:
    embedded = f"Apache Kafka {settings.kafka} as a process of this machine"
    if not engine.is_likely():
        return Choice("embedded", f"{embedded}: no container engine here")
    try:
        engine.engine().close()
    except engine.NoEngine as error:
        return Choice("embedded", f"{embedded}: {error.why}")
    where = engine.address()
    try:
        engine.obtain_image(settings.image)
    except Unavailable as error:
        reason = error.why if isinstance(error, engine.NoImage) else error
        why = f"the engine at {where} has no image {settings.image} and cannot pull it: {reason}"
        return Choice("embedded", f"{embedded}: {why}")
    return Choice("docker", f"image {settings.image}: the container engine at {where} answers and has it")


class Brokers:
    """Makes the brokers of a run, and takes down every one it made."""

    def __init__(self, settings: Settings, choice: Choice, run: Run) -> None:
        self._settings = settings
        self._run = run
        self._made: list[Broker] = []
        self.kind = kinds.load(choice.kind)(settings, run)

    @property
    def run(self) -> Run:
        """The run they belong to."""
        return self._run

    @property
    def version(self) -> str:
        """Kafka's version, or the image, in words for reports."""
        return self.kind.version

    @property
    def boot(self) -> bool:
        """Whether its brokers have to boot, so that the next one is worth launching ahead; an external one is there."""
        return self.kind.boots

    @property
    def lasting(self) -> bool:
        """Whether a broker that is still good after a feature may serve the next: one of our own, with nobody else on
        it, whose topics can all be deleted."""
        return self.kind.owned

    @property
    def features_per_processor(self) -> float:
        """How many features at a time keep one processor busy; 0 where there can be but one at a time."""
        return self.kind.features_per_processor

    @property
    def identities(self) -> tuple[int, str]:
        """The first id for a scenario's publishers and readers, and the label of its history's parts: the shard's."""
        shard = self._settings.shard
        return (0, "0") if shard is None else (shard.first_id, shard.label)

    def create(self, settings: Mapping[str, str] | None = None, node: int = 1) -> Broker:
        """A broker of this run, not started yet. settings: server properties over the suite's own."""
        for_client = kraft.FOR_LIBRDKAFKA if self._settings.client == "confluent-kafka" and self.kind.boots else {}
        config = BrokerConfig(node=node, settings={**for_client, **(settings or {})})
        broker = self._make(config)
        self._made.append(broker)
        return broker

    def create_cluster(
        self, settings: Mapping[str, str] | None = None, size: int = SIZE, *, severable: bool = False
    ) -> Cluster:
        """Brokers of this run that replicate to each other, not started yet. settings: as for ``create``, for each.

        severable: the network between them can be cut, at the price of some speed.
        """
        if self.kind.alone:
            raise NotPossible(self.kind.alone)
        nodes: list[Broker] = []
        with ExitStack() as if_it_fails:
            for number in range(1, size + 1):
                node = self._make(BrokerConfig(node=number, settings=dict(settings or {}), brokers=size))
                if_it_fails.callback(node.discard)
                nodes.append(node)
            voters = ",".join(f"{node.config.node}@{node.controller_address}" for node in nodes)
            for node in nodes:
                node.adopt({"controller.quorum.voters": voters})
            network = self.kind.network(nodes, severable)
            if_it_fails.pop_all()
        cluster = Cluster(nodes, network)
        self._made.append(cluster)
        return cluster

    def _make(self, config: BrokerConfig) -> Broker:
        return self.kind.make(config)

    def discard(self, broker: Broker) -> None:
        """Take one down."""
        broker.discard()
        self._made.remove(broker)

    def discard_all(self) -> None:
        """Take down whatever is left. Raises BrokerFailed for those that resist, after trying all of them."""
        problems = []
        for broker in list(self._made):
            try:
                self.discard(broker)
            except Exception as error:  # noqa: BLE001 - told below, after the others
                problems.append(f"{broker.label}: {error}")
        if problems:
            raise BrokerFailed("could not clean up " + "; ".join(problems))
