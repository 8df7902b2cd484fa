"""Somebody else's cluster."""

from __future__ import annotations

from integrity.brokers import access
from integrity.brokers.base import Broker, BrokerConfig
from integrity.brokers.external import ExternalBroker
from integrity.brokers.kinds import BrokerKind
from integrity.errors import NotPossible
from integrity.runs import Run
from integrity.settings import Settings


class Kind(BrokerKind):
    boots = False

    #: There is one cluster: what is stopped for one feature would be missed by another.
    features_per_processor = 0.0
    alone = "the brokers of an external cluster cannot be taken down one by one"

    def __init__(self, settings: Settings, run: Run) -> None:
        super().__init__(settings, run)
        self._last: ExternalBroker | None = None

    @staticmethod
    def reason(settings: Settings) -> str:
        return access.check(settings)

    @property
    def version(self) -> str:
        return f"an existing cluster at {self.settings.bootstrap_servers}"

    def make(self, config: BrokerConfig) -> Broker:
        if config.settings:
            raise NotPossible("the settings of an external cluster are not the suite's to choose")
        # It is the same cluster as before: one that has lost a broker since is not whole.
        known = self._last.known if self._last is not None else frozenset()
        self._last = access.broker(self.settings, self.run.id, known)
        return self._last
