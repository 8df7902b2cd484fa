"""Apache Kafka as processes of this machine."""

from __future__ import annotations

from integrity.brokers import distribution, jvm
from integrity.brokers.base import Broker, BrokerConfig
from integrity.brokers.embedded import EmbeddedBroker
from integrity.brokers.kinds import BrokerKind
from integrity.runs import Run
from integrity.settings import Settings


class Kind(BrokerKind):
    """distribution: the Kafka that its brokers run, fetched and prepared."""

    owned = True

    #: Three on two processors leave a tenth of them idle, four hardly any.
    features_per_processor = 2.0

    def __init__(self, settings: Settings, run: Run) -> None:
        super().__init__(settings, run)
        jvm.require_libraries(run.directory)
        self.distribution = distribution.fetch(settings.kafka)
        jvm.prepare(self.distribution, run)

    @staticmethod
    def reason(settings: Settings) -> str:
        return f"Apache Kafka {settings.kafka} as a process of this machine, as asked"

    @property
    def version(self) -> str:
        return f"Apache Kafka {self.settings.kafka}"

    def make(self, config: BrokerConfig) -> Broker:
        return EmbeddedBroker(config, distribution=self.distribution, run=self.run)
