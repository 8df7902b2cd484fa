"""A broker whose disk is replaced while it is down: the others give it everything again, and then it leads."""

from __future__ import annotations

from collections.abc import Callable

from integrity.brokers.base import Broker
from integrity.errors import NotPossible, SuiteError
from integrity.faults import process
from integrity.faults.disk import own_files, replacement
from integrity.scene import Scene
from integrity.scenes import moves
from integrity.scenes.load import Load
from integrity.scenes.replication import Replication


class ReplacedDisk:
    """The one broker of a scene that came back with an empty disk. A part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._node: Broker | None = None

    def replace(self, role: str) -> None:
        """Kill the holder of the role, take everything from its disk, see the work go on without it, and start it.

        In the end it is in sync again, wherever it has a replica.
        Raises FaultNotProven when it had no messages, or came back with the log directory that it had; NotPossible when
        that cannot be told.
        """
        replication = self._scene.part(Replication)

        def replace(node: Broker, check: Callable[[], None]) -> process.Restart:
            return self._replace(role, node, check)

        done = replication.at_holder(role, replace)
        self._scene.facts.numbers[f"{role} killed and back with an empty disk (s)"] = round(done.took, 2)
        replication.recovered()

    def _replace(self, role: str, node: Broker, check: Callable[[], None]) -> process.Restart:
        had = replacement.directory_id(node)
        if not had:
            raise NotPossible(
                f"the log directory of {node.label} has no id, as before Kafka 3.7: a new one cannot be told from it"
            )

        def replace() -> None:
            self._empty(node)
            self._scene.part(Replication).hands_over(node, role)

        meeting = self._scene.part(Load).meeting("killed", check)
        done = process.restart(node, "killed", in_the_middle_of=meeting, while_down=replace)
        if replacement.directory_id(node) == had:
            raise process.FaultNotProven(f"{node.label} was to come back with a new log directory, and has {had} again")
        self._node = node
        return done

    def _empty(self, node: Broker) -> None:
        self._scene.tampered = True
        with own_files(node) as files:
            removed = replacement.replace(files, self._scene.topics)
        if not removed.messages:
            raise process.FaultNotProven(f"the disk of {node.label} was replaced, and there were no messages on it")
        self._scene.facts.numbers |= {
            f"segments removed from {node.label}": removed.segments,
            f"messages removed from {node.label}": removed.messages,
        }
        gone = f"{removed.messages:,} messages in {removed.segments} segments are gone with everything else"
        self._scene.note(node.label, "has an empty disk", gone)

    def lead(self) -> None:
        """Have that broker elected as the leader of every partition of the topic."""
        if self._node is None:
            raise SuiteError("no broker has come back with an empty disk")
        moves.lead_everywhere(self._scene, self._node)

    def close(self) -> None:
        """Nothing is under way."""
