"""What it costs to send the tokenizer to a vLLM actor with every prompt, as OpenRLHF does, and once, as we do.

python benchmarks/tokenizer.py [--model FOLDER_OR_HUB_ID] [--prompts 64] [--rounds 3] [--json]

Both ways go through a real Ray actor that tokenizes each prompt and does nothing else. Without --model the tokenizer
is a BPE made up here, with 150 thousand entries: about as many as Qwen's. Rounds are interleaved; reported are medians
and the ratio. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from typing import Any

import ray
from ray import cloudpickle
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import AutoTokenizer, PreTrainedTokenizerFast

ENTRIES = 150_000
PROMPT = "What is 12 + 345, times 6?"


def made_up_tokenizer(entries: int) -> PreTrainedTokenizerFast:
    """A BPE of single characters, all pairs of them, and pairs of pairs until there are enough entries."""
    characters = [chr(code) for code in range(33, 33 + 256)]
    pairs = list(itertools.product(characters, repeat=2))
    longer = itertools.combinations(["".join(pair) for pair in pairs], 2)
    merges = [*pairs, *itertools.islice(longer, entries - len(characters) - len(pairs))]
    vocabulary = {text: index for index, text in enumerate([*characters, *("".join(merge) for merge in merges)])}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE(vocab=vocabulary, merges=merges)))


@ray.remote
class Engine:
    """As much of a vLLM actor as takes prompts in."""

    def __init__(self) -> None:
        self.tokenizer: Any = None

    async def receive_tokenizer(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    async def take(self, prompt: str, tokenizer: Any) -> int:
        return len((self.tokenizer if tokenizer is None else tokenizer)(prompt).input_ids)


def seconds(engine: Any, tokenizer: Any, prompts: int) -> float:
    """Wall time until the actor has read all prompts, each sent with ``tokenizer``."""
    started = time.monotonic()
    ray.get([engine.take.remote(PROMPT, tokenizer) for _ in range(prompts)])
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or hub id whose tokenizer is sent (default: a made-up one)")
    parser.add_argument("--prompts", type=int, default=64, help="prompts a rollout sends to one engine")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model) if args.model else made_up_tokenizer(ENTRIES)
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    engine = Engine.remote()
    ray.get(engine.receive_tokenizer.remote(tokenizer))
    times: dict[str, list[float]] = {"with every prompt": [], "once": []}
    for _ in range(args.rounds):
        times["with every prompt"].append(seconds(engine, tokenizer, args.prompts))
        times["once"].append(seconds(engine, None, args.prompts))
    ray.shutdown()
    every, once = (statistics.median(values) for values in times.values())
    figures = {
        "entries": len(tokenizer),
        "megabytes": len(cloudpickle.dumps(tokenizer)) / 1e6,
        "prompts": args.prompts,
        "seconds_with_every_prompt": every,
        "seconds_once": once,
        "once_over_every": once / every,
    }
    if args.json:
        print(json.dumps(figures))
        return
    print(f"{len(tokenizer)} entries, {figures['megabytes']:.1f} MB pickled, {args.prompts} prompts to one engine\n")
    print(f"| tokenizer sent | seconds |\n|---|---|\n| with every prompt | {every:.2f} |\n| once | {once:.3f} |")
    print(f"\nonce / with every prompt: {once / every:.4f}")


if __name__ == "__main__":
    main()
