"""TensorBoard's custom charts: the curves that belong together in one picture."""

from __future__ import annotations

from typing import Any

LEVELS = ("hard", "middle", "easy")
CHARTS = {
    "entropy and its target": ("aer/entropy", "aer/entropy_target", "aer/entropy_initial"),
    "alpha and mean coefficient": ("aer/alpha", "aer/coef_mean"),
    "reward": ("rollout/reward_mean", "aer/group_accuracy"),
    "prompts by difficulty": tuple(f"aer/share_{level}" for level in LEVELS),
    "entropy by difficulty": tuple(f"aer/entropy_{level}" for level in LEVELS),
    "coefficient by difficulty": tuple(f"aer/coef_{level}" for level in LEVELS),
    "reward by difficulty": tuple(f"aer/reward_{level}" for level in LEVELS),
    "groups without a policy gradient": ("aer/all_wrong_share", "aer/all_right_share"),
    "entropy around the answer": ("aer/entropy_before_answer", "aer/entropy_after_answer"),
    "entropy by position": tuple(f"aer/entropy_decile_{decile:02d}" for decile in range(1, 11)),
}


def layout() -> dict[str, dict[str, list[Any]]]:
    """The argument of `SummaryWriter.add_custom_scalars`; TensorBoard takes the tags for regular expressions."""
    return {
        "AER": {title: ["Multiline", [f"^train/{name}$" for name in metrics]] for title, metrics in CHARTS.items()}
    }
