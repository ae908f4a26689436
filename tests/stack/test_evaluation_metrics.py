"""pass@k during training against OpenRLHF's own metrics of the same samples."""

from types import SimpleNamespace

import pytest
import torch

from aer_openrlhf.platforms import current_platform

N = 4
REWARDS = {"p": [0, 1, 0, 0], "q": [1, 1, 1, 0], "r": [0, 0, 0, 0]}
SOURCES = {"p": "a", "q": "a", "r": "b"}


@pytest.fixture
def trainer_module(monkeypatch):
    current_platform().prepare_process()
    from openrlhf.trainer import ppo_trainer

    monkeypatch.setattr(ppo_trainer, "compute_eval_metrics", ppo_trainer.compute_eval_metrics)  # put back afterwards
    return ppo_trainer


def evaluate(module, scores=None):
    """The samples come in another order than the prompts, as from several engines."""
    samples = [
        SimpleNamespace(
            prompts=[prompt],
            rewards=torch.tensor([float(reward)]),
            scores=scores,
            response_length=torch.tensor([5]),
            truncated=torch.tensor([False]),
        )
        for prompt in ("r", "p", "q")
        for reward in REWARDS[prompt]
    ]
    dataloader = [([source], [prompt], [""], [None]) for prompt, source in SOURCES.items()]
    return module.compute_eval_metrics(dataloader, samples, N)


def test_what_openrlhf_has_too_is_the_same_and_k_in_between_is_unbiased(trainer_module):
    from aer_openrlhf.integration.compat import raw_class
    from aer_openrlhf.integration.evaluation import log_pass_at_k

    stock = evaluate(trainer_module)
    log_pass_at_k(raw_class(trainer_module.PPOTrainer).evaluate)
    ours = evaluate(trainer_module)
    assert {name: ours[name] for name in stock} == pytest.approx(stock)
    # 1 - C(3, 2) / C(4, 2) = 1/2 and 1 - 0 = 1
    added = {"eval_a_pass2": 0.75, "eval_a_reward_mean": 0.5, "eval_b_pass2": 0.0, "eval_b_reward_mean": 0.0}
    assert {name: value for name, value in ours.items() if name not in stock} == pytest.approx(added)


def test_a_prompt_that_an_agent_has_rewritten_is_of_an_unknown_source_as_openrlhf_has_it(trainer_module, monkeypatch):
    from aer_openrlhf.integration.compat import raw_class
    from aer_openrlhf.integration.evaluation import log_pass_at_k

    monkeypatch.delitem(SOURCES, "r")
    stock = evaluate(trainer_module)
    log_pass_at_k(raw_class(trainer_module.PPOTrainer).evaluate)
    ours = evaluate(trainer_module)
    assert stock["eval_unknown_pass1"] == ours["eval_unknown_pass1"] == 0.0
    assert {name: ours[name] for name in stock} == pytest.approx(stock)


def test_an_evaluation_without_samples_logs_nothing(trainer_module):
    from aer_openrlhf.integration.compat import raw_class
    from aer_openrlhf.integration.evaluation import log_pass_at_k

    log_pass_at_k(raw_class(trainer_module.PPOTrainer).evaluate)
    assert trainer_module.compute_eval_metrics([], [], N) == {}
