"""Task files for lm-eval: what ``--include_path`` names. README.md beside them says how they are run."""

from pathlib import Path

FOLDER = Path(__file__).parent
"""The folder of the task files."""


def task_name(suite: str) -> str:
    """The task of a suite. That of ``math`` is ``aer_math5000``, since ``aer_math`` is the group."""
    return "aer_math5000" if suite == "math" else f"aer_{suite}"
