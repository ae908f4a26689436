"""Worker processes that can be killed: for work that may hang inside C code or take all memory.

math-verify's own timeouts are signals, which do not work in threads, count whole seconds and cannot stop a computation
inside C code. A process can be killed at any time, and a memory limit on it spares its parent.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

logger = logging.getLogger(__name__)

MAX_WORKERS = 4
"""Most workers in a pool, unless the environment variable AER_GRADER_WORKERS says otherwise."""
MEMORY_BYTES = 2**30
"""Address space a worker may take beyond what it has when it starts."""
TASKS_PER_WORKER = 1000
"""A worker is replaced after this many tasks: sympy's caches only grow."""
PRELOADED = "aer_eval.grading.algebra"
"""Imported once, by the server that workers are forked from."""

_pools: dict[int, ProcessPool] = {}  # by process id: a forked child must not use its parent's pool
_pools_lock = threading.Lock()

Result = TypeVar("Result")


class Lost(Exception):
    """The worker died or raised."""


def run_all(
    function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]], timeout: float
) -> Iterator[Result | TimeoutError | Lost]:
    """Run a function of a module in the pool, once for each tuple of arguments; callable from any thread.

    Args:
        function: what a worker can import.
        tasks: the arguments of each call.
        timeout: seconds one call may take before its worker is killed; waiting for a free worker is not counted.

    Yields:
        For each task in order its result, or the exception that stands for one.
    """
    tasks = list(tasks)
    if not tasks:
        return
    pool = _pool()
    futures = [pool.schedule(_call, args=(function, task, timeout), timeout=timeout) for task in tasks]
    for future in futures:
        yield _result(pool, future)


def _result(pool: ProcessPool, future: ProcessFuture) -> Any:
    try:
        while not wait([future], timeout=1.0).done:
            if not pool.active:  # pebble forgets what is queued in the moment a pool breaks
                raise BrokenProcessPool("the grader's worker pool broke")
        return future.result()
    except TimeoutError as error:
        return error
    except Exception as error:  # whatever a worker raised: this task is lost, the others go on
        reason = "died" if isinstance(error, ProcessExpired) else f"raised {error!r:.200}"
        logger.warning("a worker of the grader %s", reason)
        return Lost(reason)


def _call(function: Callable[..., Result], task: tuple[Any, ...], timeout: float) -> Result:
    # The pool enforces the deadline. The alarm, left to its default action, ends a stuck worker whose parent is gone.
    signal.alarm(int(timeout) + 30)
    try:
        return function(*task)
    finally:
        signal.alarm(0)


def _start_worker() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # pebble's handler is Python: it would wait for a C call to end
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its timeouts are off
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit <= hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _pool() -> ProcessPool:
    """This process's pool; a new one where none runs or the last one broke."""
    with _pools_lock:
        pool = _pools.get(os.getpid())
        if pool is not None and pool.active:
            return pool
        if pool is None:
            atexit.register(_close_pool)
        else:
            pool.join()
        # forkserver: a fork of this process could copy locks that its threads hold, and a spawned worker imports
        # sympy anew, a second of CPU after each kill. The server imports it once, and has one thread.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["__main__", PRELOADED])
        pool = ProcessPool(_workers(), max_tasks=TASKS_PER_WORKER, initializer=_start_worker, context=context)
        _pools[os.getpid()] = pool
        return pool


def _workers() -> int:
    return int(os.environ.get("AER_GRADER_WORKERS", min(MAX_WORKERS, len(os.sched_getaffinity(0)))))


def _close_pool() -> None:
    pool = _pools.pop(os.getpid(), None)
    if pool is not None:
        pool.stop()
        pool.join()
