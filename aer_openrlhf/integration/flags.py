"""The `--aer.*` flags, made from the fields of the methods' configurations, and checks on the whole command line."""

from __future__ import annotations

import argparse
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import Field, fields
from types import SimpleNamespace
from typing import Any

from ..guards import GUARDS, GuardConfig, Guards
from ..methods import registry
from ..methods.base import EntropyMethod
from .rollout_size import refuse_uneven

PREFIX = "aer"
GUARD_PREFIX = f"{PREFIX}.guard"
MAX_REWARD_TIMEOUT = 1e8
"""Three years. Python's timers overflow at about a hundred times that."""
GROUP_ESTIMATORS = ("group_norm", "dr_grpo", "rloo", "reinforce_baseline")


def flag_name(method: str, field: str) -> str:
    """Dotted name of a setting's flag: `aer.rho` for the default method, `aer.skywork.delta` for the others."""
    return f"{PREFIX}.{field}" if method == registry.DEFAULT else f"{PREFIX}.{method}.{field}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the `--aer.*` groups to OpenRLHF's own parser."""
    group = parser.add_argument_group(
        "AER: adaptive entropy regularization (our reconstruction of arXiv 2510.10959)",
        "Dynamic filtering (--algo.dynamic_filtering_enable) removes all-wrong and all-right groups before AER sees "
        "them, so the hardest prompts never get a coefficient; aer/filtered_share logs how many were removed.",
    )
    group.add_argument(f"--{PREFIX}.enable", action="store_true", default=False, help="turn AER, or a peer method, on")
    group.add_argument(
        f"--{PREFIX}.method",
        choices=list(registry.METHODS),
        default=registry.DEFAULT,
        help=f"entropy method; each has flags of its own (default: {registry.DEFAULT})",
    )
    group.add_argument(
        f"--{PREFIX}.run_dir",
        type=str,
        default=None,
        help="folder for metrics.jsonl and run_config.json (default: --ckpt.output_dir)",
    )
    group.add_argument(
        f"--{PREFIX}.sample_tables",
        type=int,
        default=20,
        help="every so many steps, and on the first, write some prompts with all their responses, scores and "
        "coefficients to samples/ in the run folder; 0 writes none [rollout steps, default 20]",
    )
    group.add_argument(
        f"--{PREFIX}.reward_timeout",
        type=float,
        default=600.0,
        help="time that one call of a --reward.remote_url .py may take before the run ends [seconds, default 600]",
    )
    _add_fused_head(group)
    _add_guards(parser)
    for name, method in registry.METHODS.items():
        if name != registry.DEFAULT:
            group = parser.add_argument_group(f"AER: --aer.method {name}")
        hints = typing.get_type_hints(method.config_class)
        for entry in _settings(method):
            _add_setting(group, f"--{flag_name(name, entry.name)}", entry, hints[entry.name])


def _add_fused_head(group: Any) -> None:
    group.add_argument(
        f"--{PREFIX}.fused_head",
        choices=["on", "off"],
        default="on",
        help="on: compute log-probabilities and entropy from hidden states in tiles of the vocabulary, without ever "
        "holding the logits; where the model does not allow it, a line says why. off: OpenRLHF's own way, bit for bit "
        "(default: on)",
    )
    group.add_argument(
        f"--{PREFIX}.fused_head_mb",
        type=float,
        default=256.0,
        help="memory of one tile of the fused head [MiB, default 256]",
    )


def _add_guards(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "AER: guards on the training",
        "Each warns once in a run, with what to change, in the log, in TensorBoard and in warnings.jsonl.",
    )
    group.add_argument(
        f"--{PREFIX}.stop_on",
        type=str,
        default=None,
        help="guards that stop the run, with a checkpoint and exit code 3, instead of only warning; comma-separated, "
        f"from {', '.join(GUARDS)}",
    )
    hints = typing.get_type_hints(GuardConfig)
    for entry in fields(GuardConfig):
        _add_setting(group, f"--{GUARD_PREFIX}.{entry.name}", entry, hints[entry.name])


def guard_config(given: Mapping[str, Any]) -> GuardConfig:
    """The validated settings of the guards; raises ValueError naming the field.

    given: values by their dotted names (`aer.guard.patience`).
    """
    return GuardConfig(**{entry.name: given[f"{GUARD_PREFIX}.{entry.name}"] for entry in fields(GuardConfig)})


def stop_guards(names: str | None) -> tuple[str, ...]:
    """The guards that `--aer.stop_on` names."""
    return tuple(name.strip() for name in names.split(",")) if names else ()


def build_guards(args: SimpleNamespace, method: EntropyMethod) -> Guards:
    """The guards that nested OpenRLHF arguments ask for, in their initial state."""
    return Guards(guard_config(by_dotted_name(args.aer, f"{PREFIX}.")), method.name, method.alpha_max)


def _settings(method: type[EntropyMethod]) -> tuple[Field[Any], ...]:
    config: Any = method.config_class
    return fields(config)


def _add_setting(group: Any, flag: str, entry: Field[Any], hint: Any) -> None:
    value_type, choices = _argument_type(hint)
    shown_default = "" if entry.default is None else f", default {entry.default}"
    group.add_argument(
        flag,
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


def method_config(given: Mapping[str, Any]) -> Any:
    """The validated configuration of the chosen method; raises ValueError naming the field.

    given: values by their dotted names (`aer.method`, `aer.rho`).
    """
    name = given[f"{PREFIX}.method"]
    method = registry.METHODS[name]
    return method.config_class(**{entry.name: given[flag_name(name, entry.name)] for entry in _settings(method)})


def build_method(args: SimpleNamespace) -> EntropyMethod:
    """The method that nested OpenRLHF arguments ask for, in its initial state."""
    return registry.METHODS[args.aer.method](method_config(by_dotted_name(args.aer, f"{PREFIX}.")))


def by_dotted_name(node: SimpleNamespace, prefix: str = "") -> dict[str, Any]:
    """OpenRLHF's nested arguments as the parser had them: `train.batch_size` for `args.train.batch_size`."""
    flat: dict[str, Any] = {}
    for name, value in vars(node).items():
        here = f"{prefix}{name}"
        flat |= by_dotted_name(value, f"{here}.") if isinstance(value, SimpleNamespace) else {here: value}
    return flat


def check_arguments(flat: argparse.Namespace) -> None:
    """Refuse, with the mend, what the method cannot work with. Raises ValueError with one line.

    flat: the parser's own namespace, whose names hold dots (`aer.rho`).
    """
    given = vars(flat)
    if not given[f"{PREFIX}.enable"]:
        return
    if not 0 < given[f"{PREFIX}.fused_head_mb"] < math.inf:
        raise ValueError(
            f"--{PREFIX}.fused_head_mb is {given[f'{PREFIX}.fused_head_mb']}: give MiB above 0, such as 256"
        )
    if given[f"{PREFIX}.sample_tables"] < 0:
        raise ValueError(
            f"--{PREFIX}.sample_tables is {given[f'{PREFIX}.sample_tables']}: give 0 or a number of steps"
        )
    if not 0 < given[f"{PREFIX}.reward_timeout"] <= MAX_REWARD_TIMEOUT:
        raise ValueError(
            f"--{PREFIX}.reward_timeout is {given[f'{PREFIX}.reward_timeout']}: give seconds above 0 and up to "
            f"{MAX_REWARD_TIMEOUT:g}, such as 600"
        )
    name = given[f"{PREFIX}.method"]
    try:
        method_config(given)
    except ValueError as error:
        raise ValueError(f"--{flag_name(name, str(error))}") from None
    _check_guards(given)
    _check_no_foreign_setting(given, name)
    _check_openrlhf_flags(given)
    refusal = registry.METHODS[name].refusal(given)
    if refusal is not None:
        raise ValueError(refusal)


def without_effect(flat: argparse.Namespace) -> list[str]:
    """The `--aer.*` flags that are given other than their default and do nothing, for lack of `--aer.enable`."""
    if vars(flat)[f"{PREFIX}.enable"]:
        return []
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return [f"--{name}" for name, default in vars(parser.parse_args([])).items() if vars(flat)[name] != default]


def _check_guards(given: Mapping[str, Any]) -> None:
    try:
        guard_config(given)
    except ValueError as error:
        raise ValueError(f"--{GUARD_PREFIX}.{error}") from None
    stop_on = stop_guards(given[f"{PREFIX}.stop_on"])
    for name in stop_on:
        if name not in GUARDS:
            raise ValueError(f"--{PREFIX}.stop_on: there is no guard {name!r}: give one of {', '.join(GUARDS)}")
    if stop_on and given["ckpt.disable_ds"] and not given["ckpt.save_hf"]:
        raise ValueError(
            f"--{PREFIX}.stop_on stops with a checkpoint, which --ckpt.disable_ds turns off: leave that out, or give "
            "--ckpt.save_hf"
        )


def _check_no_foreign_setting(given: Mapping[str, Any], chosen: str) -> None:
    """A setting of another method would be without effect."""
    for name, method in registry.METHODS.items():
        for entry in _settings(method):
            flag = flag_name(name, entry.name)
            if name != chosen and given[flag] != entry.default:
                raise ValueError(
                    f"--{flag} belongs to --aer.method {name}, the method is {chosen}: leave it out, "
                    f"or give --aer.method {name}"
                )


def _check_openrlhf_flags(given: Mapping[str, Any]) -> None:
    if given["actor.entropy_coef"] is not None:
        raise ValueError(
            "--aer.enable sets the entropy coefficient itself: leave --actor.entropy_coef out "
            "(for a constant coefficient C: --aer.method fixed --aer.fixed.coef C)"
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
    if not given["reward.remote_url"] and not given["train.agent_func_path"]:
        raise ValueError(
            "--aer.enable measures difficulty by correctness, which a reward model does not give: "
            "give --reward.remote_url (docs/rewards.md) or --train.agent_func_path"
        )
    if not given["vllm.num_engines"]:
        raise ValueError("--aer.enable trains on vLLM rollouts: give --vllm.num_engines 1 or more")
    refuse_uneven(given)
