"""Processes that do one thing side by side: all prepare, all begin at the same moment, all give what they found."""

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import TypeVar

from bench.machine import cpu_seconds

Result = TypeVar("Result")

CREW = "these"
_PREPARE_SECONDS = 120
_barrier: Barrier


@dataclass(frozen=True)
class Costs:
    """What processor time was used, by whom, while the crew worked."""

    cpu_seconds: Mapping[str, float]
    seconds: float

    def __str__(self) -> str:
        cores = (f"{name} {value / self.seconds:.2f}" for name, value in self.cpu_seconds.items())
        return f"cores busy: {', '.join(cores)}"

    def each(self, items: int) -> str:
        """Say what one item cost: unlike rates, this hardly depends on what else the machine does."""
        costs = (f"{name} {1e6 * value / max(items, 1):,.0f}" for name, value in self.cpu_seconds.items())
        return f"us of processor each: {', '.join(costs)}"


def ready() -> None:
    """Wait, in a process of a crew, until all are prepared."""
    _barrier.wait(_PREPARE_SECONDS)


def run(
    work: Callable[..., Result], *arguments: object, count: int, watch: Mapping[str, int] | None = None
) -> tuple[list[Result], Costs]:
    """Call `work(number, *arguments)` in `count` new processes; it calls `ready` once, before what is measured.

    `watch` names processes by id, whose processor time is taken with all below them; that of the crew always is.
    """
    # A bare fork would share our connections, and to spawn would have each process import everything anew.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.posting", "bench.querying", "bench.mapping"])
    barrier = context.Barrier(count + 1)
    with ProcessPoolExecutor(count, context, initializer=_enter, initargs=(barrier,)) as pool:
        futures = [pool.submit(work, number, *arguments) for number in range(count)]
        for future in futures:
            future.add_done_callback(lambda done: barrier.abort() if done.exception() else None)
        watched = dict(watch or {})
        crew = [process.pid for process in multiprocessing.active_children()]
        _wait(barrier, futures)
        before, began = _costs(watched, crew), time.monotonic()
        results = [future.result() for future in futures]
        after, seconds = _costs(watched, crew), time.monotonic() - began
    return results, Costs({name: after[name] - before[name] for name in after}, seconds)


def _enter(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 - how a process of a pool is given what cannot be sent to it
    _barrier = barrier


def _wait(barrier: Barrier, futures: Sequence[Future[Result]]) -> None:
    try:
        barrier.wait(_PREPARE_SECONDS)
    except Exception:
        for future in futures:
            if future.done():
                future.result()  # says what went wrong
        raise


def _costs(watched: Mapping[str, int], crew: list[int]) -> dict[str, float]:
    return {name: cpu_seconds([pid]) for name, pid in watched.items()} | {CREW: cpu_seconds(crew)}
