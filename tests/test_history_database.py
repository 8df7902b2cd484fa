"""The database for a large history: how much of a large machine it takes."""

from __future__ import annotations

import os

import pytest

from integrity.history import database


@pytest.mark.parametrize(("cores", "asked", "wanted"), [(64, None, 4), (2, None, 2), (None, None, 1), (64, 8, 8)])
def test_a_large_machine_does_not_share_out_the_memory_too_finely(monkeypatch, cores, asked, wanted) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    with database.large("100MB", asked) as connection:
        assert connection.execute("SELECT current_setting('threads')").fetchone() == (wanted,)
