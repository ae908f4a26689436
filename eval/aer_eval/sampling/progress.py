"""The progress bar: samples, samples/s, tokens/s, the time left, and pass@1 of what is graded so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from tqdm import tqdm

from aer_eval.sampling.units import Completion

GradeMany = Callable[[Sequence[Completion]], Sequence[bool]]
"""Whether each sample is right."""


class Progress:
    """Counts samples as they become durable. Grading runs in a thread of its own and never holds sampling up."""

    def __init__(self, title: str, total: int, there: int, grade: GradeMany) -> None:
        """``total`` samples in the end, ``there`` of them from earlier runs."""
        self._bar = tqdm(total=total, initial=there, desc=title, unit="sample", smoothing=0.1, mininterval=1.0)
        self._grade = grade
        self._grading = ThreadPoolExecutor(max_workers=1)
        self._counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._pending: list[Future[None]] = []
        self._tokens = self._samples = 0
        self._bar.set_postfix_str("starting the engine")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._grading.shutdown(cancel_futures=error is not None)
        self._show()
        self._bar.close()
        if error is None:
            for grading in self._pending:
                grading.result()  # a fault of the grader is shown, not swallowed

    def add(self, samples: Sequence[Completion]) -> None:
        """Count samples; their grades follow in the background."""
        self._tokens += sum(sample.token_count or 0 for sample in samples)
        self._samples += len(samples)
        self._pending.append(self._grading.submit(self._count_right, samples))
        self._show()
        self._bar.update(len(samples))

    def _count_right(self, samples: Sequence[Completion]) -> None:
        for sample, right in zip(samples, self._grade(samples), strict=True):
            counts = self._counts[sample.problem_id]
            counts[0] += right
            counts[1] += 1

    def _show(self) -> None:
        rates = [right / n for right, n in list(self._counts.values()) if n]
        shown = {}
        if self._tokens and (rate := self._bar.format_dict["rate"]):
            shown["tokens/s"] = f"{rate * self._tokens / self._samples:.0f}"
        if rates:
            shown["pass@1"] = f"{sum(rates) / len(rates):.3f} of {len(rates)} problems"
        self._bar.set_postfix(shown, refresh=False)
