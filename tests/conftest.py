"""What every test of the project shares."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def environment_put_back() -> Iterator[None]:
    """A platform that was prepared in this process is not to be found in what later tests start.

    Its loopback switch would keep the second node of a Ray cluster out.
    """
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
