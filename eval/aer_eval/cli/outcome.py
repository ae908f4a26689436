"""How a command of ours ends: the exit code, and one line where it did not do its work."""

from __future__ import annotations

import sys
from collections.abc import Callable

from aer_eval.errors import UserError


def exit_code(work: Callable[[], int], error: str, interrupted: str) -> int:
    """What `work` returns; 2 for bad input and 130 for Ctrl-C, each with a line on standard error.

    Args:
        work: the command; a UserError of it is bad input.
        error: what stands before the line of a UserError, such as ``aer-eval``.
        interrupted: the line for Ctrl-C: what is kept, and how to go on.
    """
    try:
        return work()
    except UserError as problem:
        print(f"{error}: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
