"""Models x datasets x temperatures: sampled by an engine of aer-eval, scored in one pass, kept as soon as known."""

from __future__ import annotations

import gc
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from aer_eval.engines.base import Engine, render
from aer_eval.errors import UserError
from aer_eval.records import Prompt
from aer_eval.sampling.units import Completion, SamplingParams, plan_units
from aer_eval.settings import short_hash
from aer_eval.suites.load import content_ids
from aer_eval.suites.rows import Row
from aer_eval.whole_file import whole_file

from ..data.rendering import Rendering, render_rows
from .estimate import EntropyEstimate, estimate
from .scoring import Scorer

RESULTS_FILE = "entropy.json"


@dataclass(frozen=True)
class Measurement:
    """One cell of the grid."""

    model: str
    dataset: str
    temperature: float
    result: EntropyEstimate
    settings: str
    """Hash of all that decides the result: weights, prompts, sampling, dtype."""

    def to_dict(self) -> dict[str, Any]:
        """Flat, as JSON types; what is not known is absent."""
        flat = {**{name: value for name, value in vars(self).items() if name != "result"}, **asdict(self.result)}
        return {name: value for name, value in flat.items() if value is not None}


@dataclass(frozen=True)
class Probe:
    """What is measured on every model."""

    datasets: dict[str, list[Row]]
    """Rows of each dataset by the name that it is shown under."""
    rendering: Rendering
    temperatures: tuple[float, ...]
    n: int
    """Samples a prompt."""
    chunk: int
    """Most samples of one request."""
    max_tokens: int
    top_p: float
    seed: int
    dtype: str

    def params(self, temperature: float) -> SamplingParams:
        """The sampling parameters at one temperature; raises UserError for a value outside its range."""
        return SamplingParams(
            temperature=temperature, top_p=self.top_p, max_tokens=self.max_tokens, run_seed=self.seed
        )


def draw_rows(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """`count` rows at random, or all where there are no more, in their order."""
    if len(rows) <= count:
        return list(rows)
    return [rows[place] for place in sorted(random.Random(seed).sample(range(len(rows)), count))]


def measure_model(
    model: str, engine: Engine, prompts: dict[str, list[str]], probe: Probe, known: dict[str, Measurement]
) -> list[Measurement]:
    """All cells of one model, the numbers of those in `known` (by their settings) as they are. Closes the engine
    before scoring.

    prompts: rendered for this model, by dataset.
    """
    cells = [(dataset, temperature) for dataset in prompts for temperature in probe.temperatures]
    settings = {cell: _settings(engine, prompts[cell[0]], probe, cell[1]) for cell in cells}
    try:
        samples = {
            cell: list(_sample(engine, prompts[cell[0]], probe, cell, model))
            for cell in cells
            if settings[cell] not in known
        }
    finally:
        engine.close()
    fresh = _score(model, samples, prompts, probe) if samples else {}
    return [
        Measurement(model, *cell, fresh[cell] if cell in fresh else known[settings[cell]].result, settings[cell])
        for cell in cells
    ]


def _settings(engine: Engine, prompts: Sequence[str], probe: Probe, temperature: float) -> str:
    params = probe.params(temperature).to_dict()
    model = [engine.identity.fingerprint, engine.identity.details]
    return short_hash([*model, list(prompts), params, probe.n, probe.dtype])


def _sample(
    engine: Engine, prompts: Sequence[str], probe: Probe, cell: tuple[str, float], model: str
) -> Iterator[Completion]:
    texts = dict(zip(content_ids(prompts), prompts, strict=True))
    asked = {name: Prompt(text=text, special_tokens=False) for name, text in texts.items()}
    units = plan_units(asked, probe.n, probe.chunk, probe.seed, {})
    title = f"{Path(model).name}, {cell[0]}, temperature {cell[1]:g}"
    with tqdm(total=len(prompts) * probe.n, desc=title, unit="sample", mininterval=1.0) as bar:
        for completions in engine.sample(units, probe.params(cell[1])):
            bar.update(len(completions))
            yield from completions


def _score(
    model: str, samples: dict[tuple[str, float], list[Completion]], prompts: dict[str, list[str]], probe: Probe
) -> dict[tuple[str, float], EntropyEstimate]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    scorer = Scorer.load(model, probe.dtype)
    results = {}
    for cell, completions in samples.items():
        names = list(content_ids(prompts[cell[0]]))
        ids = {
            name: render(tokenizer, Prompt(text=text, special_tokens=False))
            for name, text in zip(names, prompts[cell[0]], strict=True)
        }
        place = {name: index for index, name in enumerate(names)}
        sequences = [(ids[sample.problem_id], _tokens(sample)) for sample in completions]
        entropies: list[torch.Tensor] = [torch.empty(0)] * len(sequences)
        for index, entropy in tqdm(
            scorer.token_entropies(sequences, cell[1]), total=len(sequences), desc="scoring", unit="sample"
        ):
            entropies[index] = entropy
        prompt_of = [place[sample.problem_id] for sample in completions]
        results[cell] = estimate(entropies, prompt_of, [sample.finish_reason == "length" for sample in completions])
    del scorer
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the next model's engine needs it
    return results


def _tokens(sample: Completion) -> tuple[int, ...]:
    if not sample.token_ids:
        raise UserError("the engine gives no token ids; use --engine vllm or hf")
    return sample.token_ids


def measure_all(
    models: Sequence[str], engine_of: Callable[[str], Engine], probe: Probe, out: Path
) -> list[Measurement]:
    """Measure every model, writing `out/entropy.json` after each; a second run takes over what is in it.

    All that can be checked is checked before the first engine starts: every prompt is rendered for every model, every
    model is there, and `out` can be written.
    """
    prompts = {
        model: {name: render_rows(rows, probe.rendering, model) for name, rows in probe.datasets.items()}
        for model in models
    }
    known = read_results(out)
    engines = {model: engine_of(model) for model in models}
    for engine in engines.values():
        engine.identity  # noqa: B018  raises where there are no weights
    write_results(list(known.values()), out)
    found: list[Measurement] = []
    for model in models:
        found += measure_model(model, engines.pop(model), prompts[model], probe, known)
        # Read anew: another command may have added its models meanwhile.
        write_results([*read_results(out).values(), *found], out)
    return found


def read_results(out: Path) -> dict[str, Measurement]:
    """The measurements of `out/entropy.json` by their settings; none where it is missing."""
    path = out / RESULTS_FILE
    if not path.exists():
        return {}
    try:
        return {row["settings"]: _from_dict(row) for row in json.loads(path.read_text())}
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise UserError(f"{path}: not a file of aer-entropy ({problem!r}); remove it or give another --out") from None


def _from_dict(row: dict[str, Any]) -> Measurement:
    own = ("model", "dataset", "temperature", "settings")
    result: dict[str, Any] = {"standard_error": None, "top10_share": None}
    result |= {name: value for name, value in row.items() if name not in own}
    return Measurement(**{name: row[name] for name in own}, result=EntropyEstimate(**result))


def write_results(measurements: Sequence[Measurement], out: Path) -> None:
    """Write `out/entropy.json`, of measurements with the same settings the last."""
    latest = {measurement.settings: measurement.to_dict() for measurement in measurements}
    try:
        out.mkdir(parents=True, exist_ok=True)
        with whole_file(out / RESULTS_FILE) as file:
            json.dump(list(latest.values()), file, indent=2)
    except OSError as problem:
        raise UserError(f"{out}: cannot be written ({problem}); give another --out") from problem
