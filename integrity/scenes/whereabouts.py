"""Where missing messages are: still in the broker's files (lost in delivery), or not (lost on disk)."""

from __future__ import annotations

from integrity.anomalies import Verdict

#: The checker's words for a message that is in no file of the broker's (see anomalies/lost.sql).
ON_DISK = "it was lost on disk"


def where_lost(verdict: Verdict) -> set[str]:
    """The whereabouts of the lost messages among the verdict's examples, in the checker's words."""
    finding = verdict.findings.get("lost")
    return {str(example["whereabouts"]) for example in finding.examples} if finding else set()
