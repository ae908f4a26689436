"""The `--aer.*` flags, made from the fields of the method's configuration, and checks on the whole command line."""

from __future__ import annotations

import argparse
import types
import typing
from dataclasses import MISSING, fields
from types import SimpleNamespace

from ..methods.aer import AER, AERConfig
from ..methods.base import EntropyMethod

PREFIX = "aer"
GROUP_ESTIMATORS = ("group_norm", "dr_grpo", "rloo", "reinforce_baseline")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the `--aer.*` group to OpenRLHF's own parser."""
    group = parser.add_argument_group(
        "AER: adaptive entropy regularization (our reconstruction of arXiv 2510.10959)",
        "Dynamic filtering (--algo.dynamic_filtering_enable) removes all-wrong and all-right groups before AER sees "
        "them, so the hardest prompts never get a coefficient; aer/filtered_share logs how many were removed.",
    )
    group.add_argument(f"--{PREFIX}.enable", action="store_true", default=False, help="turn AER on")
    group.add_argument(
        f"--{PREFIX}.run_dir",
        type=str,
        default=None,
        help="folder for metrics.jsonl and run_config.json (default: --ckpt.output_dir)",
    )
    hints = typing.get_type_hints(AERConfig)
    for entry in fields(AERConfig):
        assert entry.default is not MISSING
        value_type, choices = _argument_type(hints[entry.name])
        shown_default = "" if entry.default is None else f", default {entry.default}"
        group.add_argument(
            f"--{PREFIX}.{entry.name}",
            type=value_type,
            choices=choices,
            default=entry.default,
            help=f"{entry.metadata['help']} [{entry.metadata['unit']}{shown_default}]",
        )


def _argument_type(hint: typing.Any) -> tuple[typing.Callable[[str], typing.Any], list[str] | None]:
    if typing.get_origin(hint) is typing.Literal:
        return str, list(typing.get_args(hint))
    if typing.get_origin(hint) is types.UnionType:  # `float | None`: the flag, where given, is a float
        hint = typing.get_args(hint)[0]
    return hint, None


def method_config(aer_args: SimpleNamespace) -> AERConfig:
    """The validated configuration from nested arguments (`args.aer`); raises ValueError naming the field."""
    return AERConfig(**{entry.name: getattr(aer_args, entry.name) for entry in fields(AERConfig)})


def build_method(args: SimpleNamespace) -> EntropyMethod:
    """The method that nested OpenRLHF arguments ask for, in its initial state."""
    return AER(method_config(args.aer))


def check_arguments(flat: argparse.Namespace) -> None:
    """Refuse, with the mend, what AER cannot work with. Raises ValueError with one line.

    flat: the parser's own namespace, whose names hold dots (`aer.rho`).
    """
    given = vars(flat)
    if not given[f"{PREFIX}.enable"]:
        return
    try:
        AERConfig(**{entry.name: given[f"{PREFIX}.{entry.name}"] for entry in fields(AERConfig)})
    except ValueError as error:
        raise ValueError(f"--{PREFIX}.{error}") from None
    if given["actor.entropy_coef"] is not None:
        raise ValueError(
            "--aer.enable sets the entropy coefficient itself: leave --actor.entropy_coef out "
            "(for a constant coefficient C: --aer.eta 0 --aer.alpha_init C --aer.alpha_max C --aer.difficulty uniform)"
        )
    estimator = given["algo.advantage.estimator"]
    if estimator not in GROUP_ESTIMATORS:
        raise ValueError(
            f"--aer.enable needs groups of responses, --algo.advantage.estimator {estimator} has none: "
            f"give one of {', '.join(GROUP_ESTIMATORS)}"
        )
    if given["rollout.n_samples_per_prompt"] < 2:
        raise ValueError(
            "--aer.enable measures difficulty by group accuracy and needs at least 2 responses a prompt: "
            "give --rollout.n_samples_per_prompt 8"
        )
    if not given["vllm.num_engines"]:
        raise ValueError("--aer.enable trains on vLLM rollouts: give --vllm.num_engines 1 or more")
