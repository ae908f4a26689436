"""The page: figures with their captions, the table of runs, the table of evaluations, and what was not recorded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from aer_eval.metrics.markdown import ABSENT
from aer_eval.report.canvas import PALETTE, png, styled
from aer_eval.report.page import Drawing, Row, environment, number
from aer_openrlhf.report import figures
from aer_openrlhf.report.canvas import colored, smoothing_window
from aer_openrlhf.report.runs import Run
from aer_openrlhf.report.samples import SHORT
from aer_openrlhf.runlog import CONFIG_FILE

LAST = 20
"""The number of logged steps at the end of a run that the table averages."""
MAIN_FLAGS = (
    "actor.model_name_or_path",
    "data.prompt_dataset",
    "algo.advantage.estimator",
    "actor.adam.lr",
    "actor.entropy_coef",
    "algo.kl.init_coef",
    "rollout.batch_size",
    "rollout.n_samples_per_prompt",
    "rollout.temperature",
    "train.batch_size",
    "train.seed",
)
# Where a run writes says nothing about it, and the logger's arguments hold its key: never on a page that is shared.
HIDDEN_FLAGS = ("logger.", "ckpt.", "aer.run_dir")
END_METRICS = {
    "entropy": figures.ENTROPY,
    "target entropy H*": ("aer/entropy_target",),
    "initial entropy H₀": ("aer/entropy_initial",),
    "reward": figures.REWARD,
    "group accuracy": figures.ACCURACY,
    "coefficient α": ("aer/alpha",),
}
END_ROWS = (
    "entropy",
    "target entropy H*",
    "initial entropy H₀",
    "entropy / target",
    "entropy / initial H₀",
    "reward",
    "group accuracy",
    "coefficient α",
)


@dataclass(frozen=True)
class Chart:
    """A figure function with its file name and what the page says about it."""

    key: str
    title: str
    draw: Callable[[Sequence[Run]], Figure | None]
    metrics: tuple[str, ...]
    """A run with none of these is not in the figure; empty for the one that is drawn from evaluations."""
    caption: str

    def lacks(self, run: Run) -> bool:
        """Whether `run` has nothing to show in this figure."""
        return not (run.has(self.metrics) if self.metrics else run.evaluations)


CHARTS = (
    Chart(
        "entropy",
        "Entropy against its target",
        figures.entropy,
        figures.ENTROPY,
        "Token-mean policy entropy of each rollout batch. A run under control falls from its initial value "
        "(dotted) to the target (dashed) and stays there; a collapse goes on falling, a blow-up climbs above the "
        "dotted line.",
    ),
    Chart(
        "coefficient",
        "The entropy coefficient",
        figures.control,
        tuple(figures.CONTROL),
        "The controller's α stays at 0 until entropy has fallen to the target, then settles. An α that climbs "
        "without end while the mean weight falls is winding up, and one that lies on its ceiling (dotted, drawn "
        "when α comes near it) can push no harder.",
    ),
    Chart(
        "reward",
        "Reward and accuracy",
        figures.reward,
        (*figures.REWARD, *figures.ACCURACY),
        "What the policy earns while it explores. A run that holds more entropy often gains pass@1 more slowly: "
        "judge it together with pass@k.",
    ),
    Chart(
        "held_out",
        "pass@k on the evaluation sets during training",
        figures.held_out,
        ("eval/eval_num_samples",),
        "Evaluations by --eval.dataset, unbiased (1 - C(n-c, k) / C(n, k)), a marker for each evaluation set. A right "
        "panel that falls while the left one rises is exploration being spent.",
    ),
    Chart(
        "pass_at_k",
        "pass@k before and after training",
        figures.pass_at_k,
        (),
        "Plain GRPO tends to lift the left end and sink the right one: it answers more often what it could answer "
        "before, and loses the rest. Exploration that was kept shows as a right end that does not sink. Both ends "
        "move with the sampling temperature, so a difference at one temperature is not yet a win.",
    ),
    Chart(
        "difficulty_shares",
        "Prompts by difficulty",
        figures.difficulty_shares,
        figures.SHARES,
        "Prompts of each rollout batch by the accuracy of their group; the white and orange lines are smoothed. The "
        "hard band should shrink. Under group-normalised advantages, groups that are all wrong (below the dashed "
        "line) or all right (above the dotted line) teach the policy term nothing: only the band between does.",
    ),
    Chart(
        "coefficient_by_difficulty",
        "Coefficient by difficulty",
        figures.coefficient_by_difficulty,
        figures.COEFFICIENTS,
        "Where the bonus is spent. With difficulty weights the hard prompts get most and the easy ones exactly 0; "
        "three equal panels mean the uniform ablation.",
    ),
    Chart(
        "entropy_by_difficulty",
        "Entropy by difficulty",
        figures.entropy_by_difficulty,
        figures.ENTROPIES,
        "What the bonus buys. Entropy should stay up on hard prompts, where exploration is wanted, and may fall on "
        "easy ones.",
    ),
    Chart(
        "entropy_place",
        "Where entropy sits",
        figures.entropy_place,
        (*figures.DECILES, *figures.CONCENTRATION),
        "Mean entropy by position in the response (0 % is its first token; grey: not recorded). One bright stripe "
        "over a darkening map, a rising top-10 % share, or entropy that moves behind the answer is entropy flight: "
        "the target is met where it costs nothing, and exploration has collapsed behind a good entropy curve.",
    ),
    Chart(
        "health",
        "Health of the run",
        figures.health,
        tuple(figures.HEALTH),
        "Nothing here should drift or jump. A growing sampler log-prob gap means that the sampler no longer has "
        "the trainer's weights.",
    ),
    Chart(
        "timing",
        "Where the time goes",
        figures.timing,
        figures.TIMING,
        "Median seconds of each phase (left) and the seconds of each step (right; the slowest first steps may be "
        "cut off). In asynchronous training generation overlaps the rest, and the bars may pass the mark of the "
        "whole step.",
    ),
)


def draw_all(runs: Sequence[Run]) -> list[Drawing]:
    """Every chart that at least one run has the metrics for."""
    drawings = []
    with styled():
        for chart in CHARTS:
            figure = chart.draw(runs)
            if figure is not None:
                lacking = [run.name for run in runs if chart.lacks(run)]
                caption = chart.caption + (f" Not recorded by: {', '.join(lacking)}." if lacking else "")
                drawings.append(Drawing(chart.key, chart.title, caption, png(figure)))
    return drawings


def render_page(runs: Sequence[Run], drawings: Sequence[Drawing], title: str, refresh: float | None = None) -> str:
    """The whole page, with nothing to load from elsewhere. refresh: seconds after which it loads itself anew."""
    drawn = {drawing.key for drawing in drawings}
    template = environment(Path(__file__).parent).get_template("report.html.j2")
    return template.render(
        title=title,
        refresh=refresh and f"{refresh:g}",
        runs=[(run.name, color) for run, color in colored(runs)],
        setup=setup_rows(runs),
        results=result_rows(runs),
        last=LAST,
        evaluations=[(run.name, color, evaluation) for run, color in colored(runs) for evaluation in run.evaluations],
        ks=sorted({k for run in runs for evaluation in run.evaluations for k in evaluation.pass_at_k}),
        standard_error=standard_error(runs),
        notes=notes(runs),
        drawings=drawings,
        samples=[(run.name, color, run.samples) for run, color in colored(runs) if run.samples],
        short=SHORT,
        not_recorded=[chart.title for chart in CHARTS if chart.key not in drawn],
        window=smoothing_window(runs),
        number=number,
        absent=ABSENT,
    )


def setup_rows(runs: Sequence[Run]) -> list[Row]:
    """Method, main flags, every `aer` flag, and any other flag in which the runs differ."""
    flags = [{name: _setting(value) for name, value in run.flags.items()} for run in runs]
    names = {name for run in flags for name in run if not name.startswith(HIDDEN_FLAGS)}
    rows = [_row(runs, "method", [run.method for run in runs])]
    for name in sorted(names, key=_flag_order):
        row = _row(runs, name, [run.get(name, ABSENT) for run in flags])
        if row.differs or name in MAIN_FLAGS or name.startswith("aer."):
            rows.append(row)
    rows.append(_row(runs, "versions", [_versions(run) for run in runs]))
    return [*rows, Row("started", tuple(str((run.config or {}).get("started", ABSENT)) for run in runs))]


def result_rows(runs: Sequence[Run]) -> list[Row]:
    """Steps, means over the last logged steps, and both ends of pass@k before and after training."""
    ends = [{name: _end(run, *metrics) for name, metrics in END_METRICS.items()} for run in runs]
    for end in ends:
        end["entropy / target"] = _ratio(end["entropy"], end["target entropy H*"])
        end["entropy / initial H₀"] = _ratio(end["entropy"], end["initial entropy H₀"])
    rows = [Row("logged steps", tuple(_steps(run) for run in runs))]
    rows += [Row(name, tuple(number(end[name]) for end in ends)) for name in END_ROWS]
    ks = sorted({k for run in runs for evaluation in run.evaluations for k in evaluation.pass_at_k})
    for k in sorted({*ks[:1], *ks[-1:]}):
        rows.append(Row(f"pass@{k}, before → after", tuple(_before_after(run, k) for run in runs)))
    return [row for row in rows if set(row.cells) != {ABSENT}]


def notes(runs: Sequence[Run]) -> list[str]:
    """What a reader must know about the logs before trusting the page."""
    found = []
    if len(runs) > len(PALETTE):
        found.append(f"There are {len(runs)} runs and {len(PALETTE)} colours: colours repeat.")
    for run in runs:
        found += [f"{run.name}: warning at {warning}" for warning in run.warnings]
        if run.config is None:
            found.append(f"{run.name}: {CONFIG_FILE} is missing, so the method and the flags are not known.")
        if run.torn_lines:
            lines = "1 unreadable line" if run.torn_lines == 1 else f"{run.torn_lines} unreadable lines"
            found.append(f"{run.name}: {lines} in its logs skipped (a killed process leaves one).")
        if run.non_finite:
            found.append(f"{run.name}: NaN or infinite values left blank in {', '.join(run.non_finite)}.")
    evaluations = [evaluation for run in runs for evaluation in run.evaluations]
    if len({evaluation.protocol for evaluation in evaluations}) > 1:
        found.append("The evaluations differ in prompts, samples or temperature: do not compare their pass@k.")
    return found


def standard_error(runs: Sequence[Run]) -> float | None:
    """The most that pass@k can err by over prompts: a mean of values in [0, 1], each of variance at most 1/4."""
    prompts = [evaluation.num_prompts for run in runs for evaluation in run.evaluations if evaluation.num_prompts]
    return 0.5 / min(prompts) ** 0.5 if prompts else None


def _row(runs: Sequence[Run], label: str, cells: Sequence[str]) -> Row:
    """A setup row; a run without a configuration differs from nothing."""
    known = {cell for run, cell in zip(runs, cells, strict=True) if run.config is not None}
    return Row(label, tuple(cells), differs=len(known) > 1)


def _flag_order(name: str) -> tuple[int, str]:
    """Main flags first, in their order, then the `aer` flags, then the others."""
    if name in MAIN_FLAGS:
        return MAIN_FLAGS.index(name), name
    return len(MAIN_FLAGS) + (not name.startswith("aer.")), name


def _setting(value: object) -> str:
    if value is None:
        return ABSENT
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _versions(run: Run) -> str:
    versions = (run.config or {}).get("versions") or {}
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) or ABSENT


def _steps(run: Run) -> str:
    steps = run.metrics.index
    return f"{len(steps)} ({steps[0]} to {steps[-1]})"


def _end(run: Run, *metrics: str) -> float:
    """The mean over the last logged steps; NaN where none of them has the metric."""
    return float(run.series(*metrics).reindex(run.metrics.index[-LAST:]).mean())


def _ratio(value: float, base: float) -> float:
    return value / base if base else float("nan")


def _before_after(run: Run, k: int) -> str:
    shares = {evaluation.label: evaluation.pass_at_k.get(k) for evaluation in run.evaluations}
    known = {label: share for label, share in shares.items() if label in ("before", "after") and share is not None}
    return f"{number(known.get('before'))} → {number(known.get('after'))}" if known else ABSENT
