"""Finished stores as a model of lm-eval: it answers with the samples that are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from aer_eval.errors import UserError
from aer_eval.sampling.store import SAMPLE_KEY, read_manifest, read_samples


class StoreLM(LM):
    """One model's stores, each of another suite: ``simple_evaluate(model=StoreLM(store), tasks=["aer_aime24"])``.

    A task asks for a problem as often as it has repeats; the j-th time it gets sample j.
    """

    def __init__(self, first: Path, *others: Path) -> None:
        """Read the stores.

        Raises:
            UserError: a folder is no store, or the stores are of different models or of one suite.
        """
        super().__init__()
        stores = (first, *others)
        manifests = [read_manifest(store) for store in stores]
        self._info = _only_model(stores, manifests)
        self._stores: dict[str, Path] = {}
        for store, manifest in zip(stores, manifests, strict=True):
            if self._stores.setdefault(manifest["suite"]["name"], store) != store:
                raise UserError(f"{store}: another store of the suite is {self._stores[manifest['suite']['name']]}")
        self._texts = {
            (suite, row.problem_id, row.sample_index): row.text
            for suite, store in self._stores.items()
            for row in read_samples(store, (*SAMPLE_KEY, "text")).itertuples()
        }

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval writes about the model into its results."""
        return self._info

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """The texts of the samples.

        Args:
            requests: those of `SuiteTask` and its like: the document says which problem it is.

        Raises:
            UserError: a sample is not in the store.
        """
        asked: Counter[tuple[str, str]] = Counter()
        texts = []
        for request in requests:
            problem = (request.doc["suite"], request.doc["id"])
            texts.append(self._text(*problem, asked[problem]))
            asked[problem] += 1
        return texts

    def _text(self, suite: str, problem_id: str, index: int) -> str:
        if suite not in self._stores:
            raise UserError(f"no store of the suite {suite}; there are stores of {', '.join(self._stores)}")
        if (suite, problem_id, index) not in self._texts:
            raise UserError(
                f"{self._stores[suite]}: no sample {index} of problem {problem_id!r}; run the `aer-eval run` that "
                "made the store again, or ask for fewer repeats"
            )
        return self._texts[suite, problem_id, index]

    def loglikelihood(self, requests: list[Instance]) -> NoReturn:
        """Raise UserError: a store has texts only."""
        raise UserError("a store answers no likelihood tasks; give tasks that generate")

    loglikelihood_rolling = loglikelihood


def _only_model(stores: Sequence[Path], manifests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The model of the stores: its name and what identifies it."""
    models = [{"model_name": manifest["model_name"], **manifest["model"]} for manifest in manifests]
    for store, model in zip(stores, models, strict=True):
        if model["fingerprint"] != models[0]["fingerprint"]:
            raise UserError(f"{stores[0]} and {store} hold samples of different models; give one of them at a time")
    return models[0]
