"""The demo model: a Qwen2 of 133 k parameters (199 k for swap_sort) with a character tokenizer, warmed up on random
right answers.

    python examples/quickstart/model.py --task countdown --seed 0

The warm-up stops at a measured accuracy, low enough that reinforcement learning has work to do and with every right
answer still in reach. The model goes into a cache folder named after everything that decides it.
"""

import argparse
import hashlib
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from transformers.utils.logging import disable_progress_bar

from sampling import measure
from tasks import TASKS, Problem, Task, draw_from, train_problems

DEFAULT_CACHE = Path("runs/cache")
SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>")
VOCABULARY = (*SPECIAL_TOKENS, *"0123456789+-*= ")
PASS_THROUGH_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
ARCHITECTURE = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,  # of size 32: vLLM's CPU attention refuses 16
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES = {
    "countdown": ARCHITECTURE,
    "make_n": ARCHITECTURE,
    "swap_sort": {**ARCHITECTURE, "num_hidden_layers": 3, "max_position_embeddings": 128},
}
CHECK_PROBLEMS = 256
PROGRESS_SECONDS = 3.0


@dataclass(frozen=True)
class WarmUp:
    """Supervised training on random right answers of training problems."""

    stop_at: float
    """pass@1 at temperature 1 on training problems at which it stops. On held-out ones it is about 0.05 lower."""
    batch_size: int
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    max_steps: int = 4000
    """Give up after this many steps; three to eight times what it takes."""
    check_steps: int = 50
    """Optimizer steps between two measurements."""
    check_samples: int = 8
    """Samples a problem of a measurement."""


WARM_UP = {
    "countdown": WarmUp(stop_at=0.38, batch_size=64),
    "make_n": WarmUp(stop_at=0.40, batch_size=128),
    "swap_sort": WarmUp(stop_at=0.42, batch_size=64, check_steps=100, check_samples=2),  # long answers
}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A token a character: a byte-level BPE with the characters as vocabulary and no merges.

    A word-level tokenizer would be the obvious choice, but transformers 5 loads any Qwen2 tokenizer as its own
    byte-level class and loses the space and ``=`` of a word-level one. Without an unknown token that class adds one
    of its own to the vocabulary: hence ``unk_token``.
    """
    ids = {character: index for index, character in enumerate(VOCABULARY)}
    ids["\u0120"] = ids.pop(" ")  # how a byte-level vocabulary spells the space
    backend = Tokenizer(models.BPE(vocab=ids, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<pad>"
    )
    tokenizer.chat_template = PASS_THROUGH_TEMPLATE
    return tokenizer


def check_tokenizer(folder: Path, problem: Problem) -> None:
    """Raise RuntimeError if the tokenizer that loads from the folder does not keep every character apart."""
    loaded = AutoTokenizer.from_pretrained(folder)
    text = "".join(VOCABULARY) + problem.prompt + problem.answer
    ids = loaded(text).input_ids
    if loaded.decode(ids) != text or ids[: len(VOCABULARY)] != list(range(len(VOCABULARY))):
        raise RuntimeError(f"this transformers version garbles the demo tokenizer: {text!r} -> {loaded.decode(ids)!r}")
    if len(loaded) != len(VOCABULARY):
        raise RuntimeError(f"the loaded tokenizer has {len(loaded)} tokens, the model {len(VOCABULARY)}")


@contextmanager
def single_thread() -> Iterator[None]:
    """One torch thread: the same result on any number of cores, and hardly slower for a model of this size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@single_thread()
def warm_up(task: Task, tokenizer: PreTrainedTokenizerBase, settings: WarmUp, seed: int) -> Qwen2ForCausalLM:
    """Train a fresh model until its measured pass@1 reaches ``settings.stop_at``; RuntimeError if it never does."""
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(Qwen2Config(**ARCHITECTURES[task.name]))
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.95),
        fused=True,
    )
    rng = random.Random(seed)
    drawn_from = replace(task, draw=task.draw_warm_up or task.draw)
    check_problems = train_problems(task, CHECK_PROBLEMS, seed=seed + 1)
    started = shown = time.monotonic()
    for step in range(1, settings.max_steps + 1):
        problems = [draw_from(drawn_from, "train", rng) for _ in range(settings.batch_size)]
        answer_loss(model, tokenizer, problems).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % settings.check_steps:
            continue
        measured = measure(model, tokenizer, task, check_problems, settings.check_samples, temperature=1.0, seed=seed)
        accuracy = measured["pass_at_k"]["1"]
        done = accuracy >= settings.stop_at
        if done or time.monotonic() - shown > PROGRESS_SECONDS:
            shown = time.monotonic()
            print(
                f"warm-up {task.name}: step {step}, {shown - started:.0f} s, pass@1 {accuracy:.2f} "
                f"of {settings.stop_at:.2f} wanted, entropy {measured['entropy']:.2f} nats",
                flush=True,
            )
        if done:
            return model
    raise RuntimeError(f"warm-up of {task.name} stands at pass@1 {accuracy:.2f} after {settings.max_steps} steps")


def answer_loss(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerBase, problems: list[Problem]) -> torch.Tensor:
    """Mean cross-entropy (nats) of the answer's tokens, the end of the sequence included, given the prompt."""
    texts = [problem.prompt + problem.answer for problem in problems]
    ids = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt").input_ids
    answer_start = len(problems[0].prompt)  # a token a character, and one length for all prompts of a task
    logits = model(ids[:, :-1]).logits[:, answer_start - 1 :]
    targets = ids[:, answer_start:].flatten()
    return cross_entropy(logits.flatten(0, 1), targets, ignore_index=tokenizer.pad_token_id)


def cache_key(task: Task, seed: int) -> str:
    """Name of the cached model: the task, and a hash of the settings and the code that decide the weights."""
    settings = {**asdict(WARM_UP[task.name]), **ARCHITECTURES[task.name], "seed": seed, "torch": torch.__version__}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name in ("tasks.py", "model.py"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    return f"{task.name}-{digest.hexdigest()[:12]}"


def make_model(task: Task, seed: int = 0, cache: Path = DEFAULT_CACHE) -> Path:
    """Return the folder of the warmed-up model in Hugging Face form and bf16, making it on first use."""
    folder = cache / cache_key(task, seed)
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    # Made aside and renamed when whole: a run that is killed leaves no half model behind.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=cache, ignore_cleanup_errors=True) as aside:
        partial = Path(aside) / "model"
        model = warm_up(task, tokenizer, WARM_UP[task.name], seed)
        model.to(torch.bfloat16).save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        check_tokenizer(partial, draw_from(task, "train", random.Random(seed)))
        if not folder.exists():  # another run may have been faster
            os.rename(partial, folder)
    return folder


def main() -> None:
    """Make the model of one task and print its folder."""
    parser = argparse.ArgumentParser(description="make the warmed-up demo model (15 s of a core, 2 min for swap_sort)")
    parser.add_argument("--task", choices=sorted(TASKS), default="countdown", help="demo task")
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial weights and of the problems")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder that keeps the models")
    args = parser.parse_args()
    disable_progress_bar()
    print(make_model(TASKS[args.task], args.seed, args.cache))


if __name__ == "__main__":
    main()
