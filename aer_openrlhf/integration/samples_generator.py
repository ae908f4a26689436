"""How OpenRLHF's samples generator samples, in the sync trainer and in the async sampler."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import ray

from .faults import RunFault
from .flags import by_dotted_name
from .rollout_size import refuse_too_few, trained_responses
from .stopping import StopRequest

FIRST_GAPS, GAP_INTERVAL = 3, 10  # rollouts on which the sampler is asked for its log-probs


def attach(generator: Any, stop: StopRequest) -> None:
    """Make one generator sample the policy that is scored, tell how far it is from the trainer, and heed `stop`."""
    hand_over_tokenizer(generator)
    sample_from_the_scored_policy(generator)
    request_sampler_log_probs(generator)
    leave_out_what_fills_no_step(generator)
    heed_stop_requests(generator, stop)


def hand_over_tokenizer(generator: Any) -> None:
    """Give every engine the tokenizer once, before its first prompt.

    OpenRLHF sends it with every prompt, as an argument that Ray pickles and unpickles each time. With a vocabulary of
    150 thousand that is 4 MB, and 0.6 s in the engine's event loop, for every prompt of every rollout.
    """
    dispatch = generator._dispatch_prompts_to_vllm

    def dispatch_prompts(*args: Any, **kwargs: Any) -> list:
        if generator.tokenizer is not None:
            ray.get([engine.receive_tokenizer.remote(generator.tokenizer) for engine in generator.vllm_engines])
            generator.tokenizer = None
        return dispatch(*args, **kwargs)

    generator._dispatch_prompts_to_vllm = dispatch_prompts


def sample_from_the_scored_policy(generator: Any) -> None:
    """Let vLLM end a response at its first token, as the policy can.

    OpenRLHF asks for at least one token before the end (`min_tokens=1`, trainer/ppo_utils/samples_generator.py): vLLM
    takes the end-of-sequence token out of the first distribution, and the trainer scores with it. Probability that
    moves there is never sampled and so never punished, while the entropy term counts it.
    """
    dispatch = generator._dispatch_prompts_to_vllm

    def dispatch_prompts(*args: Any, **kwargs: Any) -> list:
        return dispatch(*args, **{"min_new_tokens": 0, **kwargs})

    generator._dispatch_prompts_to_vllm = dispatch_prompts


def request_sampler_log_probs(generator: Any) -> None:
    """Let vLLM return the log-probs of what it samples on the first rollouts and on every tenth from then on.

    They tell how far the sampler is from the trainer, and cost time for every token. OpenRLHF asks for them only with
    its importance-sampling correction on (then on every rollout); the generator reads that setting for nothing else,
    so it gets arguments of its own.
    """
    without = generator.args
    if without.algo.advantage.is_correction_level != "off":
        return
    with_log_probs = copy.deepcopy(without)
    with_log_probs.algo.advantage.is_correction_level = "token"
    generate, calls = generator.generate_samples, itertools.count()

    def generate_samples(*args: Any, **kwargs: Any) -> tuple:
        call = next(calls)
        asked = call < FIRST_GAPS or call % GAP_INTERVAL == 0
        generator.args = with_log_probs if asked else without
        samples, *rest = generate(*args, **kwargs)
        if any(sample.rollout_log_probs is None for sample in samples):  # some are left over from an earlier call
            for sample in samples:
                sample.rollout_log_probs = None
        return samples, *rest

    generator.generate_samples = generate_samples


def leave_out_what_fills_no_step(generator: Any) -> None:
    """Cut the rollout at the end of an episode as `rollout_size.trained_responses` says, and tell so."""
    given, generate = by_dotted_name(generator.args), generator.generate_samples

    def generate_samples(*args: Any, **kwargs: Any) -> tuple:
        samples, *rest = generate(*args, **kwargs)
        trained = trained_responses(given, len(samples))
        if trained < len(samples):
            print(
                f"[aer-train] the last {len(samples)} responses of the episode do not fill optimizer steps: "
                f"trained on {trained} of them",
                flush=True,
            )
        return samples[:trained], *rest

    generator.generate_samples = generate_samples


def refuse_too_few_prompts(generator: Any) -> None:
    """Raise RunFault where a whole episode would make no optimizer step."""
    try:
        refuse_too_few(by_dotted_name(generator.args), len(generator.prompts_dataloader))
    except ValueError as error:
        raise RunFault(str(error)) from None


def heed_stop_requests(generator: Any, stop: StopRequest) -> None:
    """Look for a stop request at every response: a rollout can take longer than a scheduler waits."""
    process = generator._process_response_into_experience

    def process_response(*args: Any, **kwargs: Any) -> Any:
        stop.raise_if_made()
        return process(*args, **kwargs)

    generator._process_response_into_experience = process_response
