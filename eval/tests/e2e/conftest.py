"""Real engines, started as a user starts them."""

import json
from pathlib import Path

import pytest
from evaluation import PROBLEMS


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def problems(tmp_path_factory) -> Path:
    """COUNTDOWN-3 problems: `123 007=` with the label `[[1, 2, 3], 7]`."""
    path = tmp_path_factory.mktemp("data") / "countdown3.jsonl"
    rows = []
    for number in range(PROBLEMS):
        a, b, c = number % 9 + 1, number // 9 % 9 + 1, number // 81 % 9 + 1
        label = json.dumps([[a, b, c], a + b + c])
        rows.append({"id": f"c{number}", "problem": f"{a}{b}{c} {a + b + c:03d}=", "answer": label})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
