"""Forks policy ranks from a process that has imported the stack: the imports are most of such a rank's time.

Reads a line of JSON at a time, a list of ranks with the words of policy_rank.py and the file for their output, runs
two of them at once, and answers with the list of their exit codes.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

AT_ONCE, RANK_TIMEOUT = 2, 300


def import_stack() -> None:
    """Everything that a rank imports. None of it starts a thread that a fork would lose."""
    from aer_openrlhf.integration import compat
    from aer_openrlhf.platforms import current_platform

    current_platform().prepare_process()
    compat.check_hook_points()
    from aer_openrlhf.integration import policy_actor  # noqa: F401


def run_rank(arguments: list[str], log: str, environment: dict[str, str]) -> None:
    """Be the rank, in a process of its own."""
    with open(log, "w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    from tests.stack import policy_rank

    policy_rank.main(arguments)


def run_all(ranks: list[dict]) -> list[int | None]:
    """Exit codes in the order given; a rank that takes too long is killed."""
    context = multiprocessing.get_context("fork")
    started: list[BaseProcess] = []
    for rank in ranks:
        while len(running := [process.sentinel for process in started if process.is_alive()]) >= AT_ONCE:
            if not wait(running, timeout=RANK_TIMEOUT):
                break
        process = context.Process(target=run_rank, kwargs=rank)
        process.start()
        started.append(process)
    for process in started:
        process.join(RANK_TIMEOUT)
        process.kill()
        process.join()
    return [process.exitcode for process in started]


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    import_stack()
    for line in sys.stdin:
        print(json.dumps(run_all(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
