"""Kafka's own client properties, translated for each client library.

The properties are those a Java client takes (``security.protocol``, ``sasl.mechanism``, ``sasl.jaas.config``,
``ssl.truststore.location`` with PEM type ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrity.errors import BadOption


def _unsupported(properties: Mapping[str, str]) -> None:
    if properties:
        raise BadOption(f"client property {sorted(properties)[0]!r} is not supported yet")


def librdkafka_properties(properties: Mapping[str, str]) -> dict[str, Any]:
    """The properties as librdkafka takes them."""
    _unsupported(properties)
    return {}


def kafka_python_arguments(properties: Mapping[str, str]) -> dict[str, Any]:
    """The properties as arguments of kafka-python's classes."""
    _unsupported(properties)
    return {}
