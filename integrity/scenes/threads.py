"""Several things at once, with every error told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from integrity.waiting import nothing


def run_together(
    tasks: Iterable[Callable[[], None]],
    *,
    failed: Callable[[], None] = nothing,
    meanwhile: Callable[[], None] = nothing,
    every: float | None = None,
) -> None:
    """Run every task in a thread of its own and wait for all of them.

    failed: called as soon as one task has raised, so that the others need not wait for it in vain, or as the run is
    interrupted, so that they end soon. meanwhile: called by the caller's thread, each ``every`` seconds. The tasks
    bound their own waits.
    Raises the error of the first task to fail, which the others may only have followed.
    """
    tasks = list(tasks)
    first: list[BaseException] = []

    def look(done: Future[None]) -> None:
        error = done.exception()
        if error is not None:
            first.append(error)
            failed()

    with ThreadPoolExecutor(len(tasks)) as pool:
        futures = [pool.submit(task) for task in tasks]
        for future in futures:
            future.add_done_callback(look)
        try:
            while wait(futures, every).not_done:
                meanwhile()
        except BaseException:
            failed()
            raise
    if first:
        raise first[0]
