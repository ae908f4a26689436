"""The training flags of the demo, written once: the quickstart, the comparison and the studies take them here."""

from pathlib import Path
from typing import Any

from aer_openrlhf.methods.registry import METHODS
from aer_openrlhf.study.definition import to_arguments
from tasks import TASKS, Task

PROMPTS_PER_STEP = 32
SAMPLES_PER_PROMPT = 8
QUICKSTART_STEPS = 150  # enough to see entropy fall to its target and stay there
THREADS = "1"  # more only get in each other's way with a model of this size
EVAL_PROMPTS = 300  # held-out prompts; make_n has only 38
EVAL_SAMPLES = {"countdown": 64, "make_n": 32, "swap_sort": 32}

BASE_FLAGS: dict[str, Any] = {
    "data.input_key": "prompt",
    "data.label_key": "label",
    "data.max_len": 32,
    "rollout.batch_size": PROMPTS_PER_STEP,
    "rollout.n_samples_per_prompt": SAMPLES_PER_PROMPT,
    "rollout.max_new_tokens": TASKS["countdown"].max_new_tokens,
    "rollout.temperature": 1.0,
    "rollout.micro_batch_size": 256,
    "train.batch_size": 128,  # of 256 responses a rollout: two optimizer steps
    "train.micro_batch_size": 128,
    "algo.advantage.estimator": "group_norm",
    "algo.kl.init_coef": 0,
    "actor.lr_scheduler": "constant_with_warmup",  # Adam's first steps move every weight by the whole rate
    "actor.num_nodes": 1,
    "actor.num_gpus_per_node": 1,
    "ref.num_gpus_per_node": 1,  # neither is started; Ray is asked for no more than this
    "reward.num_gpus_per_node": 1,
    "vllm.num_engines": 1,
    "vllm.tensor_parallel_size": 1,
    "vllm.enforce_eager": True,
    "vllm.sync_backend": "gloo",
    "vllm.gpu_memory_utilization": 0.1,
    "ds.zero_stage": 2,
    "ds.attn_implementation": "eager",
}

TASK_FLAGS: dict[str, dict[str, Any]] = {
    "countdown": {"actor.adam.lr": 3e-4, "actor.adam.betas": (0.9, 0.999), "actor.lr_warmup_ratio": 0.05},
    # Short, so that GRPO collapses within it: four optimizer steps a rollout, and an Adam that forgets the start
    # model's gradients. Half of its sums are soon solved in one way each. A rho of 0.9 keeps them in the bonus: there
    # its many right answers are. Entropy falls fast, so the controller steps three times as far.
    "make_n": {
        "train.batch_size": 64,
        "train.micro_batch_size": 64,
        "actor.adam.lr": 6e-4,
        "actor.adam.betas": (0.9, 0.95),
        "actor.lr_warmup_ratio": 0.1,
    },
    "swap_sort": {
        "data.max_len": 128,
        "rollout.max_new_tokens": TASKS["swap_sort"].max_new_tokens,
        "actor.adam.lr": 6e-4,
        "actor.adam.betas": (0.9, 0.999),
        "actor.lr_warmup_ratio": 0.05,
    },
}

# `normalize mean` makes alpha the mean coefficient of a batch. Without it alpha must grow without limit as the policy
# improves and fewer prompts carry a weight, and entropy overshoots when failed prompts come back.
AER_FLAGS: dict[str, Any] = {
    "aer.enable": True,
    "aer.method": "aer",
    "aer.rho": 0.5,
    "aer.tau": 0.5,
    "aer.eta": 0.1,
    "aer.alpha_max": 0.5,
    "aer.coef_max": 2,
    "aer.normalize": "mean",
}

# Absolute targets and bands stand where AER's target is for the demo's start models: at half of the initial entropy,
# which is 0.5 nats for COUNTDOWN-3; the other tasks' are below. The peers' published strengths are those of models a
# thousand times as large, with a learning rate a hundred times smaller: here they are raised until the method shows in
# COUNTDOWN-3's entropy curve.
METHOD_FLAGS: dict[str, dict[str, Any]] = {
    "aer": AER_FLAGS,
    # A coefficient held at 0 is plain GRPO with every entropy metric logged against the same target.
    "grpo": {**AER_FLAGS, "aer.alpha_max": 0},
    "clip_higher": {"aer.enable": True, "aer.alpha_max": 0, "actor.eps_clip_low_high": (0.2, 0.28)},
    "fixed": {"aer.fixed.coef": 0.03},
    "skywork": {"aer.skywork.target_entropy": 0.25, "aer.skywork.delta": 0.005, "aer.skywork.coef_max": 0.5},
    "aent": {
        "aer.aent.entropy_low": 0.2,
        "aer.aent.entropy_high": 0.3,
        "aer.aent.lr": 0.1,
        "aer.aent.coef_init": 0,
        "aer.aent.coef_min": 0,
        "aer.aent.coef_max": 0.5,
        "aer.aent.warmup_steps": 0,
    },
    "siren": {"aer.siren.coef": 0.2},
    "clip_cov": {"aer.clip_cov.ratio": 0.02, "aer.clip_cov.cov_low": 0.2},
    "kl_cov": {"aer.kl_cov.ratio": 0.02},
    "entropy_advantage": {},
    "high_entropy_tokens": {},
}

TASK_METHOD_FLAGS: dict[str, dict[str, dict[str, Any]]] = {
    "countdown": {},
    "make_n": {
        "aer": {"aer.rho": 0.9, "aer.eta": 0.3},
        "grpo": {"aer.rho": 0.9, "aer.eta": 0.3},
        "skywork": {"aer.skywork.target_entropy": 0.43},
        "aent": {"aer.aent.entropy_low": 0.34, "aer.aent.entropy_high": 0.52},
    },
    "swap_sort": {
        "skywork": {"aer.skywork.target_entropy": 0.08},
        "aent": {"aer.aent.entropy_low": 0.065, "aer.aent.entropy_high": 0.095},
    },
}


def num_prompts(steps: int) -> int:
    """How many training prompts ``steps`` rollout steps take: the number of steps is set by the data."""
    return steps * PROMPTS_PER_STEP


def flags(task: str, method: str) -> dict[str, Any]:
    """What a method trains a task with, as flags without their dashes; `aer-study` reads its settings here too.

    Raises:
        ValueError: names the methods or the tasks that there are.
    """
    if method not in METHOD_FLAGS:
        raise ValueError(f"method {method}: the demo has settings for {', '.join(METHOD_FLAGS)}")
    if task not in TASK_FLAGS:
        raise ValueError(f"task {task}: the demo has settings for {', '.join(TASK_FLAGS)}")
    return {
        **BASE_FLAGS,
        **({"aer.enable": True, "aer.method": method} if method in METHODS else {}),
        **METHOD_FLAGS[method],
        **TASK_FLAGS[task],
        **TASK_METHOD_FLAGS[task].get(method, {}),
    }


def run_flags(task: Task, model_dir: Path, data_path: Path, run_dir: Path, seed: int, steps: int) -> dict[str, Any]:
    """What one run adds: its start, its prompts, its seed, and the folder for its metrics and its final weights."""
    return {
        "actor.model_name_or_path": model_dir.resolve(),
        "reward.remote_url": task.reward_file,
        "data.prompt_dataset": data_path.resolve(),
        "data.max_samples": num_prompts(steps),
        "train.seed": seed,
        "ckpt.output_dir": run_dir.resolve(),
        "ckpt.path": run_dir.resolve() / "checkpoints",
        "logger.tensorboard_dir": run_dir.resolve() / "tensorboard",
    }


def train_args(
    task: Task,
    model_dir: Path,
    data_path: Path,
    run_dir: Path,
    method: str,
    seed: int,
    steps: int,
    **overrides: Any,
) -> list[str]:
    """Arguments of ``aer-train`` for one demo run.

    Overrides are flags without their dashes, as in ``**{"aer.tau": 0.7}``; True gives a bare flag, None leaves the
    flag out.
    """
    run = run_flags(task, model_dir, data_path, run_dir, seed, steps)
    return to_arguments({**flags(task.name, method), **run, **overrides})
