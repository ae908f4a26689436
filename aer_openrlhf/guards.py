"""Guards: what a step's metrics say that a person should know before the run is over.

Pure: a step's metrics go in, warnings come out. A guard warns once in a run, after its condition has held for several
steps in a row. What it remembers follows from the metrics so far, so feeding those again restores it after a resume;
of what it has warned, the run folder tells (`Guards.restart`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter

from .methods.settings import require, setting

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class GuardConfig:
    """When each guard warns, one field a flag `--aer.guard.<field>`. Invalid values raise ValueError."""

    patience: int = setting(
        10,
        "rollout steps",
        "steps in a row that a condition has to hold before a guard warns (alpha_at_max, sampler_gap: their own)",
    )
    entropy_high: float = setting(
        1.5, "multiple of the initial entropy", "explosion: warn while entropy is above it; inf: never"
    )
    entropy_low: float = setting(
        0.2,
        "fraction of the initial entropy",
        "collapse: warn while entropy is below it, and below half of the target; 0: never",
    )
    alpha_at_max: float = setting(
        50, "rollout steps", "warn once alpha has been at its upper bound so long; inf: never"
    )
    all_wrong: float = setting(0.9, "share of prompts", "warn while so many groups are all wrong; inf: never")
    entropy_hard: float = setting(
        2.0,
        "multiple of the ratio at the start",
        "warn while entropy on hard prompts (g < 1/3) over that on easy ones (g > 2/3) is above it; inf: never",
    )
    entropy_concentrated: float = setting(
        0.6,
        "fraction of the way from the initial share to 1",
        "warn while the share of all entropy that the top tenth of tokens carries has risen so far, and its entropy "
        "has risen too; inf: never",
    )
    entropy_after_answer: float = setting(
        3.0, "multiple of the entropy before", "warn while entropy after the graded answer is above it; inf: never"
    )
    sampler_gap: float = setting(
        0.3,
        "nats a token",
        "warn once vLLM's log-probs and the trainer's have been so far apart in three measurements; inf: never",
    )

    def __post_init__(self) -> None:
        require(self.patience >= 1, "patience", self.patience, "a whole number from 1")
        require(self.entropy_high > 1, "entropy_high", self.entropy_high, "a number above 1, for example 1.5")
        require(0 <= self.entropy_low < 1, "entropy_low", self.entropy_low, "a fraction in [0, 1), for example 0.2")
        for entry in fields(self)[3:]:
            value = getattr(self, entry.name)
            require(value > 0, entry.name, value, f"a number above 0, for example {entry.default}")


@dataclass(frozen=True)
class GuardWarning:
    """What a guard has to say."""

    step: int
    guard: str
    message: str
    """What was seen, and what to change."""


@dataclass(frozen=True)
class Observation:
    """One step as a guard sees it."""

    now: Metrics
    start: Metrics
    """The first value of every metric in this run."""
    config: GuardConfig
    alpha_max: float | None
    """Upper bound of `aer/alpha`, None where nothing moves it."""


def _entropy_high(seen: Observation) -> str | None:
    entropy, initial = _entropy_and_initial(seen)
    if entropy <= seen.config.entropy_high * initial:
        return None
    return f"entropy is {entropy:.3g} nats, {entropy / initial:.2f} of its initial {initial:.3g}"


def _entropy_low(seen: Observation) -> str | None:
    entropy, initial = _entropy_and_initial(seen)
    target = seen.now.get("aer/entropy_target", float("inf"))
    if entropy >= min(seen.config.entropy_low * initial, target / 2):
        return None
    return f"entropy is {entropy:.3g} nats, {entropy / initial:.2f} of its initial {initial:.3g}"


def _entropy_and_initial(seen: Observation) -> tuple[float, float]:
    return seen.now["aer/entropy"], seen.now.get("aer/entropy_initial", seen.start["aer/entropy"])


def _alpha_at_max(seen: Observation) -> str | None:
    if seen.alpha_max is None or seen.now["aer/alpha"] < seen.alpha_max:
        return None
    return f"alpha is at its upper bound {seen.alpha_max:g}"


def _all_wrong(seen: Observation) -> str | None:
    share = seen.now["aer/all_wrong_share"]
    if share < seen.config.all_wrong or seen.now["aer/group_accuracy"] == 0:  # the latter is reward_zero's
        return None
    return f"in {share:.0%} of the groups every response is wrong"


def _reward_zero(seen: Observation) -> str | None:
    return "not one response was right" if seen.now["aer/group_accuracy"] == 0 else None


def _entropy_hard(seen: Observation) -> str | None:
    hard, easy = seen.now["aer/entropy_hard"], seen.now["aer/entropy_easy"]
    hard_start, easy_start = seen.start["aer/entropy_hard"], seen.start["aer/entropy_easy"]
    collapsed = hard <= seen.config.entropy_low * hard_start  # next to nothing is a multiple of nothing
    # Not turned into <=: inf times 0, of a guard that is off, is no number.
    if collapsed or not hard * easy_start > seen.config.entropy_hard * hard_start * easy:
        return None
    return (
        f"entropy is {hard:.3g} nats on hard prompts and {easy:.3g} on easy ones, at the start {hard_start:.3g} and "
        f"{easy_start:.3g}"
    )


def _entropy_concentrated(seen: Observation) -> str | None:
    share, initial = seen.now["aer/entropy_top10_share"], seen.start["aer/entropy_top10_share"]
    concentrated = share - initial >= seen.config.entropy_concentrated * (1 - initial)
    # The share rises too where the other tokens become certain, whatever the method; in flight the top tenth gains.
    gained = share * seen.now["aer/entropy"] > initial * seen.start["aer/entropy"]
    if not (concentrated and gained):
        return None
    return f"the top 10 % of tokens carry {share:.0%} of all entropy, {initial:.0%} at the start"


def _entropy_after_answer(seen: Observation) -> str | None:
    after, before = seen.now["aer/entropy_after_answer"], seen.now["aer/entropy_before_answer"]
    _, initial = _entropy_and_initial(seen)
    if after <= max(seen.config.entropy_after_answer * before, seen.config.entropy_low * initial):
        return None  # next to nothing after the answer is a multiple of nothing before it, once entropy has collapsed
    return f"entropy is {after:.3g} nats after the graded answer and {before:.3g} up to it"


def _sampler_gap(seen: Observation) -> str | None:
    gap = seen.now["aer/sampler_logprob_gap"]
    if gap <= seen.config.sampler_gap:
        return None
    return f"vLLM's log-probs and the trainer's are {gap:.3g} nats a token apart: not the same policy"


@dataclass(frozen=True)
class Guard:
    """A condition on one step, and the mend."""

    finding: Callable[[Observation], str | None]
    """What is wrong, None where nothing is. A metric that it needs and that is not there raises KeyError."""
    mend: str
    """What to change with `--aer.method aer`."""
    mend_elsewhere: str = ""
    """The same with another method; empty where it is the same."""
    patience: Callable[[GuardConfig], float] = attrgetter("patience")
    """How often in a row the condition has to be seen before it is said."""
    counted: str = "steps"
    """What is counted in a row."""


WEAKER = "Weaken the method (its flags are in docs/flags.md)"
STRONGER = "Strengthen the method (its flags are in docs/flags.md)"
STRICT = "Let the reward be strict about what follows the answer"
GUARDS = {
    "entropy_high": Guard(
        _entropy_high, "Lower --aer.alpha_max or --aer.eta; where aer/weight_mean fell, --aer.normalize mean", WEAKER
    ),
    "entropy_low": Guard(
        _entropy_low, "Raise --aer.alpha_max where alpha lies at it (0 is plain GRPO), else raise --aer.eta", STRONGER
    ),
    "alpha_at_max": Guard(
        _alpha_at_max,
        "Raise --aer.alpha_max or lower --aer.tau; where aer/weight_mean fell, --aer.normalize mean; with that and "
        "aer/coef_mean below aer/alpha, raise --aer.coef_max or --aer.rho instead: more alpha does nothing",
        "Raise the method's upper bound or lower its target (its flags are in docs/flags.md)",
        patience=attrgetter("alpha_at_max"),
    ),
    "all_wrong": Guard(
        _all_wrong, "Add easier prompts, or raise --rollout.n_samples_per_prompt: these groups have no policy gradient"
    ),
    "reward_zero": Guard(
        _reward_zero,
        "Look at samples/ and at rollout/truncated_rate, try the reward with aer-train --dry-run, and check prompt "
        "template, labels and --rollout.max_new_tokens",
    ),
    "entropy_hard": Guard(
        _entropy_hard,
        "Where every response is wrong nothing but the bonus acts, and alpha at 0 brings no entropy back: give "
        "--aer.difficulty uniform, lower --aer.tau, --aer.alpha_max or the learning rate, or add easier prompts",
        f"{WEAKER}, lower the learning rate, or add easier prompts",
    ),
    "entropy_concentrated": Guard(
        _entropy_concentrated,
        "Exploration may hide in a few tokens: see aer/entropy_decile_*, lower --aer.tau, or give "
        "--aer.entropy_tokens until_answer",
        "Exploration may hide in a few tokens: see aer/entropy_decile_*",
    ),
    "entropy_after_answer": Guard(
        _entropy_after_answer, f"{STRICT}, or give --aer.entropy_tokens until_answer", STRICT
    ),
    "sampler_gap": Guard(
        _sampler_gap,
        "The trainer does not score the policy that was sampled: look at --rollout.top_p (1 is exact), at the weight "
        "sync and, with --train.async_enable, at --train.async_queue_size",
        patience=lambda config: 3,  # measured on every tenth step
        counted="measurements",
    ),
}


class Guards:
    """All guards of one run."""

    def __init__(self, config: GuardConfig, method: str, alpha_max: float | None) -> None:
        self.config = config
        self.method = method
        self.alpha_max = alpha_max
        self.warned: set[str] = set()
        self._start: dict[str, float] = {}
        self._held = dict.fromkeys(GUARDS, 0)  # steps in a row

    def check(self, step: int, metrics: Metrics) -> list[GuardWarning]:
        """The warnings that this step gives rise to. A guard whose metrics are not there waits for the next step."""
        self._start = {**metrics, **self._start}
        seen = Observation(metrics, self._start, self.config, self.alpha_max)
        warnings = []
        for name, guard in GUARDS.items():
            try:
                finding = guard.finding(seen)
            except KeyError:
                continue
            self._held[name] = self._held[name] + 1 if finding else 0
            if finding and name not in self.warned and self._held[name] >= guard.patience(self.config):
                self.warned.add(name)
                warnings.append(GuardWarning(step, name, self._message(name, finding)))
        return warnings

    def restart(self, warned: Collection[str], anew: Collection[str]) -> None:
        """After the steps of an earlier run: guards in `warned` stay silent, those in `anew` count from 0 again."""
        self.warned = set(warned).difference(anew)
        self._held |= dict.fromkeys(anew, 0)

    def _message(self, name: str, finding: str) -> str:
        guard = GUARDS[name]
        mend = guard.mend if self.method == "aer" else guard.mend_elsewhere or guard.mend
        return f"{finding}, for {self._held[name]} {guard.counted} in a row. {mend}"
