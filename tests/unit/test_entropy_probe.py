"""`aer-entropy`: entropies and their standard error by hand, padding and both heads, results that are taken over."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from transformers import GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

from aer_eval.engines.base import Engine, ModelIdentity
from aer_eval.errors import UserError
from aer_eval.sampling.units import Completion, SamplingParams, Unit
from aer_eval.suites.rows import Row
from aer_openrlhf.cli.entropy import main
from aer_openrlhf.data.rendering import Rendering
from aer_openrlhf.probe.estimate import EntropyEstimate, estimate, ratio_standard_error
from aer_openrlhf.probe.measure import Measurement, Probe, _settings, measure_all, read_results, write_results
from aer_openrlhf.probe.output import table, targets, write_csv, write_plot
from aer_openrlhf.probe.scoring import Scorer

SIZES = {"vocab_size": 11, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def qwen() -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 2}
    return Qwen2ForCausalLM(
        Qwen2Config(
            hidden_size=16, intermediate_size=32, initializer_range=0.5, max_position_embeddings=32, **heads, **SIZES
        )
    )


def gpt2() -> GPT2LMHeadModel:
    """Not among the models whose head is computed in tiles."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=32, initializer_range=0.5, **SIZES))


def test_a_head_of_zeros_but_for_its_bias_gives_the_hand_computed_entropy() -> None:
    """Two tokens at probability 1/2 each: ln 2 at any temperature; with logits ln 3 and 0: at T = 1 p = (3/4, 1/4)."""
    model = qwen()
    head = torch.nn.Linear(16, 2)
    torch.nn.init.zeros_(head.weight)
    model.set_output_embeddings(head)
    sequences = [([3, 4], [0, 1, 0]), ([3], [1])]
    for bias, temperature, expected in (
        ([0.0, 0.0], 0.7, math.log(2)),
        ([math.log(3), 0.0], 1.0, -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))),
        # at T = 0.5 the logits are ln 9 and 0
        ([math.log(3), 0.0], 0.5, -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))),
    ):
        head.bias.data = torch.tensor(bias)
        found = dict(Scorer(model).token_entropies(sequences, temperature))
        assert found[0].tolist() == pytest.approx([expected] * 3, rel=1e-6)
        assert found[1].tolist() == pytest.approx([expected], rel=1e-6)


@pytest.mark.parametrize("make", [qwen, gpt2])
def test_padding_and_batching_change_nothing(make) -> None:
    """Against one sequence at a time, without padding, in float64 from the model's own logits."""
    model, temperature = make(), 0.8
    generator = torch.Generator().manual_seed(1)
    sequences = [
        (
            torch.randint(3, 11, (prompt,), generator=generator).tolist(),
            torch.randint(3, 11, (response,), generator=generator).tolist(),
        )
        for prompt, response in ((3, 5), (7, 1), (1, 9), (4, 4), (2, 2))
    ]
    found = dict(Scorer(model, tokens_at_once=24).token_entropies(sequences, temperature))
    assert sorted(found) == list(range(len(sequences)))
    for index, (prompt, response) in enumerate(sequences):
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1].double()
        log_probs = (logits / temperature).log_softmax(-1)
        torch.testing.assert_close(found[index].double(), -(log_probs.exp() * log_probs).sum(-1), rtol=0, atol=1e-5)


def test_the_token_mean_and_its_standard_error_over_prompts() -> None:
    """Prompt 0: 3 tokens of 1 nat in two responses; prompt 1: one token of 3 nats. Mean 6/4 = 1.5; residuals
    3 - 4.5 = -1.5 and 3 - 1.5 = 1.5, so the error is sqrt(2/1 * (2.25 + 2.25)) / 4 = 3/4."""
    entropies = [torch.ones(2), torch.tensor([3.0]), torch.ones(1)]
    result = estimate(entropies, prompt_of=[7, 9, 7], truncated=[True, False, False])
    assert result == EntropyEstimate(
        entropy=1.5,
        standard_error=0.75,
        top10_share=0.5,  # 1 of 4 tokens: the one of 3 nats among 6
        prompts=2,
        samples=3,
        tokens=4,
        truncated_share=1 / 3,
    )
    assert estimate([torch.zeros(2)], [0], [False]).standard_error is None
    assert estimate([torch.zeros(2)], [0], [False]).top10_share is None


def test_the_standard_error_is_the_spread_of_repeated_draws() -> None:
    """Means of 200 prompts of uneven length, drawn 2,000 times: their spread against the mean estimated error."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 50, (2000, 200), generator=generator).double()
    sums = tokens * (0.5 + torch.rand(2000, 200, generator=generator, dtype=torch.float64) + tokens / 50)
    means = sums.sum(1) / tokens.sum(1)
    errors = torch.tensor([ratio_standard_error(*draw) for draw in zip(sums, tokens, strict=True)])
    assert float(errors.mean()) == pytest.approx(float(means.std()), rel=0.05)


def measurement(temperature: float, entropy: float, settings: str, error: float | None = 0.01) -> Measurement:
    result = EntropyEstimate(entropy, error, 0.4, prompts=2, samples=4, tokens=40, truncated_share=0.25)
    return Measurement("models/start", "easy", temperature, result, settings)


def test_results_are_taken_over_and_the_last_of_the_same_settings_holds(tmp_path: Path) -> None:
    one, again, other = measurement(1.0, 0.5, "a"), measurement(1.0, 0.6, "a"), measurement(0.6, 0.3, "b", error=None)
    write_results([one, other, again], tmp_path)
    assert read_results(tmp_path) == {"a": again, "b": other}
    assert "standard_error" not in json.loads((tmp_path / "entropy.json").read_text())[1]


def test_the_table_the_sentence_the_csv_and_the_plot(tmp_path: Path) -> None:
    cells = [measurement(1.0, 0.5, "a"), measurement(0.6, 0.3, "b", error=None)]
    row = " ".join(table(cells).splitlines()[1].split())
    assert row == "models/start easy 1 0.5000 0.0100 0.40 2 4 40 0.25"
    assert next(targets(cells, [0.5, 0.4])) == (
        "models/start on easy at temperature 1: tau 0.5 means a target of 0.250 nats a token, tau 0.4 means a target "
        "of 0.200 nats a token"
    )
    write_csv(cells, tmp_path / "entropy.csv")
    rows = list(csv.DictReader((tmp_path / "entropy.csv").open()))
    assert [(row["temperature"], row["entropy"], row["standard_error"]) for row in rows] == [
        ("1.0", "0.5", "0.01"),
        ("0.6", "0.3", ""),
    ]
    write_plot(cells, tmp_path / "entropy.png")
    assert (tmp_path / "entropy.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--temperature", "0"], "--temperature 0: greedy decoding has no entropy"),
        (["--tau", "1.5"], "--tau 1.5: give a fraction"),
        (["--engine", "openai"], "--engine openai gives no token ids"),
        (["--top-p", "2"], "--top-p must be in (0, 1]"),
        (["--data.input_key", "question"], "line 1: no field 'question'"),
        ([], "--model models/none: no such folder"),
    ],
)
def test_bad_input_is_one_line(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    source = tmp_path / "set.jsonl"
    source.write_text(json.dumps({"prompt": "p"}) + "\n")
    out = tmp_path / "out"
    assert main(["--model", "models/none", "--dataset", str(source), "--out", str(out), *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not out.exists()


def test_results_that_cannot_be_written_are_printed_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aer_openrlhf.probe.measure.measure_all", lambda *_: [measurement(1.0, 0.5, "a")])
    source, taken = tmp_path / "set.jsonl", tmp_path / "entropy.csv"
    source.write_text(json.dumps({"prompt": "p"}) + "\n")
    taken.mkdir()
    assert main(["--model", "models/start", "--dataset", str(source), "--out", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert "models/start" in printed.out and "0.5000" in printed.out
    assert printed.err.startswith(f"aer-entropy: error: --out {tmp_path}: cannot be written (")
    assert printed.err.count("\n") == 1


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn, kept."""
    drawn: list[Figure] = []
    monkeypatch.setattr("aer_openrlhf.probe.output.png", lambda figure: drawn.append(figure) or b"")
    return drawn


def test_two_models_whose_folders_have_one_name_are_two_lines(tmp_path: Path, figures: list[Figure]) -> None:
    cells = [
        replace(measurement(temperature, entropy, "a"), model=f"runs/{arm}/seed-1")
        for arm, entropy in (("grpo", 0.2), ("aer", 0.4))
        for temperature in (0.5, 1.0)
    ]
    write_plot(cells, tmp_path / "entropy.png")
    entropy, share = figures[0].axes
    assert [line.get_ydata().tolist() for line in share.get_lines()] == [[0.4, 0.4], [0.4, 0.4]]
    assert [bars.lines[0].get_ydata().tolist() for bars in entropy.containers] == [[0.2, 0.2], [0.4, 0.4]]
    names = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert names == ["grpo/seed-1, easy", "aer/seed-1, easy"]


def test_an_unknown_error_has_no_bar(tmp_path: Path, figures: list[Figure]) -> None:
    write_plot([measurement(0.6, 0.3, "b", error=None), measurement(1.0, 0.5, "a")], tmp_path / "entropy.png")
    (bars,) = figures[0].axes[0].containers
    low, high = (path.vertices[:, 1].tolist() for path in bars.lines[2][0].get_paths())
    assert all(map(math.isnan, low)) and high == pytest.approx([0.48, 0.52])


class NoSampling(Engine):
    """An engine of a model whose every measurement is known."""

    name = "hf"

    def __init__(self, model: str) -> None:
        self.model = model

    @property
    def identity(self) -> ModelIdentity:
        if self.model == "damaged":
            raise UserError("--model damaged: no weights")
        return ModelIdentity(self.model, "of all alike")

    def sample(self, units: Sequence[Unit], params: SamplingParams) -> Iterator[list[Completion]]:
        raise AssertionError("there is nothing to sample")


def probe_of(dataset: str) -> Probe:
    rendering = Rendering("prompt", apply_chat_template=False, input_template=None)
    rows = [Row("line 1", {"prompt": "1+1="})]
    return Probe({dataset: rows}, rendering, (1.0,), n=1, chunk=1, max_tokens=2, top_p=1.0, seed=0, dtype="float32")


def test_what_is_known_under_another_name_goes_by_the_name_of_this_command(tmp_path: Path) -> None:
    settings = _settings(NoSampling("here"), ["1+1="], probe_of("sums"), 1.0)
    write_results([replace(measurement(1.0, 0.5, settings), model="there", dataset="copy")], tmp_path)
    (found,) = measure_all(["here"], NoSampling, probe_of("sums"), tmp_path)
    assert (found.model, found.dataset, found.result.entropy) == ("here", "sums", 0.5)


def test_every_model_and_the_folder_are_looked_at_before_the_first_sample(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--model damaged: no weights"):
        measure_all(["here", "damaged"], NoSampling, probe_of("sums"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "taken").touch()
    with pytest.raises(UserError, match="taken: cannot be written"):
        measure_all(["here"], NoSampling, probe_of("sums"), tmp_path / "taken")


def test_the_results_of_a_command_that_ran_beside_this_one_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*_: object) -> list[Measurement]:
        write_results([measurement(1.0, 0.7, "theirs")], tmp_path)
        return [measurement(1.0, 0.5, "ours")]

    monkeypatch.setattr("aer_openrlhf.probe.measure.measure_model", meanwhile)
    measure_all(["here"], NoSampling, probe_of("sums"), tmp_path)
    assert {name: cell.result.entropy for name, cell in read_results(tmp_path).items()} == {"theirs": 0.7, "ours": 0.5}
