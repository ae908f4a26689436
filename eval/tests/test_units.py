"""Which samples are planned, with which seeds."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aer_eval.errors import UserError
from aer_eval.records import Prompt
from aer_eval.sampling.units import SamplingParams, Unit, base_seed, plan_units

PROMPTS = {"a": Prompt(text="A"), "b": Prompt(text="B")}


def slots(units):
    return sorted((unit.problem_id, *slot) for unit in units for slot in unit.slots())


def test_seed_of_a_sample_is_the_hash_of_run_seed_and_problem_plus_its_index():
    digest = hashlib.sha256(b"7\0aime24-0").digest()
    expected = int.from_bytes(digest[:8], "big") % 2**48
    assert base_seed(7, "aime24-0") == expected
    [unit] = plan_units({"aime24-0": Prompt(text="x")}, n=3, chunk=16, run_seed=7, done={})
    assert list(unit.slots()) == [(0, expected), (1, expected + 1), (2, expected + 2)]


@given(
    n=st.integers(1, 40),
    chunk=st.integers(1, 17),
    done=st.dictionaries(st.sampled_from(["a", "b", "gone"]), st.sets(st.integers(0, 50))),
)
def test_exactly_the_missing_samples_are_planned_once_with_seeds_that_ignore_the_chunks(n, chunk, done):
    units = plan_units(PROMPTS, n, chunk, run_seed=0, done=done)
    expected = [
        (problem, index, base_seed(0, problem) + index)
        for problem in PROMPTS
        for index in range(n)
        if index not in done.get(problem, set())
    ]
    assert slots(units) == sorted(expected)
    assert all(1 <= unit.count <= chunk for unit in units)


def test_every_problem_gets_its_first_chunk_before_any_gets_its_second():
    order = [(unit.problem_id, unit.first_index) for unit in plan_units(PROMPTS, 8, 4, 0, {})]
    assert order == [("a", 0), ("b", 0), ("a", 4), ("b", 4)]


def test_more_samples_later_are_the_difference():
    first = slots(plan_units(PROMPTS, 6, 4, 0, {}))
    rest = slots(plan_units(PROMPTS, 10, 4, 0, {"a": set(range(6)), "b": set(range(6))}))
    assert sorted(first + rest) == slots(plan_units(PROMPTS, 10, 4, 0, {}))


def test_a_split_unit_keeps_its_samples_and_seeds():
    unit = Unit("a", PROMPTS["a"], first_index=5, count=7, first_seed=105)
    parts = unit.split(3)
    assert [part.count for part in parts] == [3, 3, 1]
    assert [slot for part in parts for slot in part.slots()] == list(unit.slots())


@pytest.mark.parametrize(
    ("field", "value", "flag"),
    [
        ("temperature", -0.1, "--temperature"),
        ("temperature", float("inf"), "--temperature must be a number of at least 0"),
        ("temperature", float("nan"), "--temperature"),
        ("top_p", 0.0, "--top-p"),
        ("top_p", 1.1, "--top-p"),
        ("top_k", -1, "--top-k"),
        ("min_p", 1.5, "--min-p"),
        ("max_tokens", 0, "--max-tokens"),
    ],
)
def test_values_out_of_range_name_their_flag(field, value, flag):
    with pytest.raises(UserError, match=flag):
        SamplingParams(**{field: value})


def test_tokens_come_from_the_models_own_distribution_only_without_temperature_and_cuts():
    assert SamplingParams().is_full_distribution
    for changed in ({"temperature": 0.6}, {"top_p": 0.95}, {"top_k": 20}, {"min_p": 0.1}):
        assert not SamplingParams(**changed).is_full_distribution
