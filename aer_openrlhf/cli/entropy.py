"""`aer-entropy`: initial entropy of models on datasets at a list of temperatures, as AER's anchor would measure it.

An engine of aer-eval draws the samples; one pass of the Hugging Face model gives the exact full-vocabulary entropy of
every response token. What is measured is kept in OUT/entropy.json: a killed command starts again with the models that
were not finished.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aer_eval.cli import engine_flags
from aer_eval.cli.outcome import exit_code
from aer_eval.errors import UserError
from aer_openrlhf.data import rendering
from aer_openrlhf.data.files import positive, read_rows
from aer_openrlhf.methods.aer import AERConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `aer-entropy`; returns 0, 2 for bad input, 130 for Ctrl-C."""
    args = _parser().parse_args(argv)
    return exit_code(
        lambda: run(args), "aer-entropy: error", "aer-entropy: interrupted; models that were finished are kept"
    )


def _parser() -> argparse.ArgumentParser:
    # "resolve": --model takes several here
    parser = argparse.ArgumentParser(prog="aer-entropy", description=__doc__, conflict_handler="resolve")
    engine_flags.add(parser)
    parser.set_defaults(dtype="bfloat16")  # what aer-train loads every model in
    parser.add_argument("--model", nargs="+", required=True, help="folders or hub ids")
    parser.add_argument(
        "--dataset", nargs="+", required=True, help="what --data.prompt_dataset gets: files or hub ids"
    )
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0], help="default: 1")
    rendering.add_flags(parser)
    group = parser.add_argument_group("sampling")
    group.add_argument("--prompts", type=positive, default=256, help="drawn from each dataset (default %(default)s)")
    group.add_argument("--n", type=positive, default=8, help="samples a prompt (default %(default)s)")
    group.add_argument("--max-tokens", type=positive, default=1024, help="of a response (default %(default)s)")
    group.add_argument("--top-p", type=float, default=1.0, help="of the sampler; 1 is off (default %(default)s)")
    group.add_argument("--seed", type=int, default=0, help="of prompts and samples (default %(default)s)")
    tau = AERConfig().tau
    parser.add_argument("--tau", type=float, nargs="+", default=[tau], help=f"targets to name (default {tau})")
    parser.add_argument("--out", type=Path, required=True, help="folder for entropy.json, .csv and .png")
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure, print, write. All that can be checked is checked before an engine starts."""
    from aer_openrlhf.probe import output
    from aer_openrlhf.probe.measure import Probe, draw_rows, measure_all

    _refuse(args)
    probe = Probe(
        datasets={
            name: draw_rows(list(read_rows(source, args.split, args.config)), args.prompts, args.seed)
            for name, source in _names(args.dataset).items()
        },
        rendering=rendering.from_args(args),
        temperatures=tuple(dict.fromkeys(args.temperature)),
        n=args.n,
        chunk=args.n,
        max_tokens=args.max_tokens,
        top_p=args.top_p,
        seed=args.seed,
        dtype=args.dtype,
    )
    for name, rows in probe.datasets.items():
        if not rows:
            raise UserError(f"--dataset {name}: no rows in it; give another")
    for temperature in probe.temperatures:
        probe.params(temperature)
    models = list(dict.fromkeys(args.model))
    found = measure_all(models, lambda model: engine_flags.choose(args, model), probe, args.out)
    print("\n".join([output.table(found), "", *output.targets(found, args.tau)]))
    try:
        output.write_csv(found, args.out / "entropy.csv")
        output.write_plot(found, args.out / "entropy.png")
    except OSError as problem:
        raise UserError(
            f"--out {args.out}: cannot be written ({problem}); make room and give the same command again, which takes "
            "the results over from entropy.json"
        ) from problem
    print(f"written to {args.out}: entropy.json, entropy.csv, entropy.png")
    return 0


def _refuse(args: argparse.Namespace) -> None:
    if args.engine not in ("vllm", "hf"):
        raise UserError(f"--engine {args.engine} gives no token ids; use vllm or hf")
    for temperature in args.temperature:
        if not temperature > 0:
            raise UserError(f"--temperature {temperature:g}: greedy decoding has no entropy; give values above 0")
    for tau in args.tau:
        if not 0 < tau < 1:
            raise UserError(f"--tau {tau:g}: give a fraction of the initial entropy in (0, 1)")


def _names(sources: Sequence[str]) -> dict[str, str]:
    """The sources under short names, a file's without its folder where that tells them apart."""
    sources = list(dict.fromkeys(sources))
    short = [Path(source).stem if Path(source).is_file() else source for source in sources]
    return dict(zip(short if len(set(short)) == len(short) else sources, sources, strict=True))


if __name__ == "__main__":
    sys.exit(main())
