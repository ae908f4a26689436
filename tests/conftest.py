"""What every test of the project shares."""

import os
from collections.abc import Iterator

import pytest

AT_START = dict(os.environ)


def put_back(before: dict[str, str]) -> None:
    """A platform that was prepared in this process is not to be found in what later tests start.

    Its loopback switch would keep the second node of a Ray cluster out.
    """
    for name in os.environ.keys() - before.keys() - {"PYTEST_CURRENT_TEST"}:
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True, scope="module")
def environment_of_a_file() -> Iterator[None]:
    """For the fixtures of a file and of the session."""
    yield
    put_back(AT_START)


@pytest.fixture(autouse=True)
def environment_of_a_test() -> Iterator[None]:
    """For a test and its own fixtures."""
    before = dict(os.environ)
    yield
    put_back(before)
