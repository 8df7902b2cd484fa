"""Errors a person reads: each is one plain sentence that says what to do next."""

from __future__ import annotations


class SuiteError(Exception):
    """Something about the suite's surroundings, not about Kafka's promises: the text is one clear line."""


class BadOption(SuiteError):
    """A ``-D`` option that does not exist or has a value that cannot be."""


class Unavailable(SuiteError):
    """Something the run needs cannot be had: an engine, an image, a Kafka version, the network."""


class NotPossible(SuiteError):
    """This broker or this machine cannot do what a scenario asks for: the scenario is skipped, with this reason."""
