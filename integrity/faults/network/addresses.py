"""Brokers' addresses in answers, replaced by those of the links that lead to them; topic ids, learned in passing."""

from __future__ import annotations

from typing import Any

from kafka.protocol.api_key import ApiKey

from integrity.faults.network import codec

#: Answers that always tell addresses; all of them are small.
TELLING = frozenset({ApiKey.Metadata.value, ApiKey.FindCoordinator.value, ApiKey.DescribeCluster.value})

#: Answers that tell the address of a partition's new leader, from these versions on (KIP-951), in their last bytes.
LEADERS = {ApiKey.Produce.value: 10, ApiKey.Fetch.value: 16}

#: Bytes at the end of a Produce or Fetch answer that hold the addresses of up to a hundred brokers.
TAIL = 4096

Address = tuple[str, int]


class Addresses:
    """Which link leads to which broker."""

    def __init__(self) -> None:
        self._links: dict[Address, Address] = {}
        self._patterns: list[bytes] = []

    def lead(self, broker: Address, link: Address) -> None:
        """From now on the broker's address is replaced by the link's, unless another link leads there already."""
        self._links = {known: by for known, by in self._links.items() if by != link}
        self._links.setdefault(broker, link)
        self._patterns = [host.encode() + port.to_bytes(4, "big") for host, port in self._links]

    def concern(self, api: int, version: int) -> bool:
        """Whether an answer may have to be changed. A single broker never tells of another leader."""
        return api in TELLING or (len(self._links) > 1 and version >= LEADERS.get(api, 1 << 15))

    def replace(self, frame: bytes, head: codec.Head) -> tuple[bytes, dict[Any, str]]:
        """The answer to be sent instead, and the topic ids it names. Raises NotDecoded when it cannot be read."""
        if head.api in LEADERS:
            tail = frame[-TAIL:]
            if not any(pattern in tail for pattern in self._patterns):
                return frame, {}
            message = codec.decode_exactly(frame, head, request=False)
            changed = self._replace_in(message.node_endpoints or ())
            return (self._encode(message, head) if changed else frame), {}
        message = codec.decode(frame, head.api, head.version, request=False)
        if head.api == ApiKey.FindCoordinator:
            changed = self._replace_in([message, *(message.coordinators or ())])
        else:
            changed = self._replace_in(message.brokers or ())
        names: dict[Any, str] = {}
        if head.api == ApiKey.Metadata:
            names = {topic.topic_id: topic.name for topic in message.topics or () if topic.name and topic.topic_id}
        return (self._encode(message, head) if changed else frame), names

    def _replace_in(self, parts: Any) -> bool:
        changed = False
        for part in parts:
            link = self._links.get((part.host, part.port))
            if link is not None:
                part.host, part.port = link
                changed = True
        return changed

    @staticmethod
    def _encode(message: Any, head: codec.Head) -> bytes:
        return codec.encode(message, head.api, head.version, head.correlation)
