"""The brokers of a run under sabotage: real ones, behind a proxy, tampered with when they are restarted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from integrity.brokers.base import Broker, BrokerConfig
from integrity.brokers.choice import Brokers
from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients.types import Connection
from integrity.faults.disk import DataFiles, own_files
from integrity.faults.network import Proxy


@dataclass(frozen=True)
class Sabotage:
    """One thing a broker must not do; see the package and ``table``.

    does: in words, after "a broker that". expected: the check that must fail. scenarios: those it is met by; by
    one of them at least it must be seen. because: why that check. allowed: other checks that it may trip, and why.
    wire: makes the proxy's rules. disk: changes the files of the stopped broker, and returns how many things.
    """

    does: str
    expected: str
    scenarios: tuple[str, ...]
    because: str
    allowed: Mapping[str, str] = field(default_factory=dict)
    wire: Callable[[Wire], None] | None = None
    disk: Callable[[DataFiles], int] | None = None


class Wire:
    """The proxy, for a sabotage to make its rules on. struck: how often it has done something so far."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.struck = 0

    def strike(self, times: int = 1) -> None:
        """Count what was done."""
        self.struck += times


class Sabotaged(EmbeddedBroker):
    """A broker whose clients connect to the proxy; before it is started again, its files are tampered with."""

    def __init__(self, config: BrokerConfig, makers: SabotagedBrokers, **how: Any) -> None:
        super().__init__(config, **how)
        self._makers = makers
        self._was_launched = False

    @property
    def connection(self) -> Connection:
        return replace(super().connection, bootstrap_servers=self._makers.lead(self.bootstrap_servers))

    def _launch(self) -> None:
        if self._was_launched:
            self._makers.tamper(self)
        self._was_launched = True
        super()._launch()


class SabotagedBrokers(Brokers):
    """Makes embedded brokers behind one proxy. One scenario at a time works with one of them."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._proxy = Proxy(self.run)
        self._address = self._proxy.link("broker").address
        self._leads_to = ""
        self._sabotage: Sabotage | None = None
        self._wire = Wire(self._proxy)

    def _make(self, config: BrokerConfig) -> Broker:
        return Sabotaged(config, self, distribution=self.kind.distribution, run=self.run)

    @property
    def lasting(self) -> bool:
        """No: what a sabotage has done to a broker stays."""
        return False

    def lead(self, bootstrap_servers: str) -> str:
        """Where to connect to reach the broker at that address, by way of the proxy."""
        if self._leads_to != bootstrap_servers:
            self._proxy.lead("broker", bootstrap_servers)
            self._leads_to = bootstrap_servers
        return self._address

    def arm(self, sabotage: Sabotage | None) -> None:
        """From now on do this; None is nothing."""
        self._sabotage, self._wire = sabotage, Wire(self._proxy)
        if sabotage is not None and sabotage.wire is not None:
            sabotage.wire(self._wire)

    def disarm(self) -> int:
        """Do it no more; returns how often it was done. Raises what went wrong in doing it."""
        self._sabotage = None
        self._proxy.lift_all()
        self._proxy.check()
        return self._wire.struck

    def tamper(self, broker: Broker) -> None:
        """Do what is to be done to the files of this broker, which is down."""
        if self._sabotage is not None and self._sabotage.disk is not None:
            with own_files(broker) as files:
                self._wire.strike(self._sabotage.disk(files))

    def discard_all(self) -> None:
        try:
            super().discard_all()
        finally:
            self._proxy.close()
