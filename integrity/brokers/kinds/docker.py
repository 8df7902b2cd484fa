"""Any image that takes ``KAFKA_*``, in containers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from integrity import machine
from integrity.brokers import docker, engine
from integrity.brokers.base import Broker, BrokerConfig
from integrity.brokers.cluster import Network
from integrity.brokers.docker_network import DockerNetwork
from integrity.brokers.kinds import BrokerKind
from integrity.errors import Unavailable
from integrity.settings import Settings


class Kind(BrokerKind):
    owned = True

    @staticmethod
    def reason(settings: Settings) -> str:
        docker.engine().close()
        docker.obtain_image(settings.image)
        return f"image {settings.image} by the container engine at {engine.address()}, as asked"

    @staticmethod
    def room() -> machine.Room:
        try:
            return machine.room().within(engine.room())
        except Unavailable:  # a broker's start will say so where it is needed
            return machine.room()

    @cached_property
    def version(self) -> str:
        return engine.described(self.settings.image)

    def make(self, config: BrokerConfig) -> Broker:
        self.run.uses_docker()
        port = self.run.lease_port()
        try:
            return docker.DockerBroker(config, image=self.settings.image, run=self.run, port=port)
        except BaseException:
            self.run.release_port(port)
            raise

    def network(self, nodes: Sequence[Broker], severable: bool) -> Network | None:
        return DockerNetwork(self.run, nodes)
