"""The flags that say how responses are sampled."""

from __future__ import annotations

import argparse

from aer_eval.errors import UserError
from aer_eval.sampling.units import SamplingParams


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    group = parser.add_argument_group("sampling")
    group.add_argument("--n", type=int, default=16, help="samples a problem (default %(default)s)")
    group.add_argument("--temperature", type=float, default=1.0, help="0 is greedy, with --n 1 (default %(default)s)")
    group.add_argument("--top-p", type=float, default=1.0, help="nucleus; 1 is off (default %(default)s)")
    group.add_argument("--top-k", type=int, default=0, help="most likely tokens kept; 0 is off (default %(default)s)")
    group.add_argument("--min-p", type=float, default=0.0, help="0 is off (default %(default)s)")
    group.add_argument("--max-tokens", type=int, default=4096, help="tokens of a response (default %(default)s)")
    group.add_argument("--stop", action="append", default=[], help="stop string, repeatable (default: none)")
    group.add_argument("--seed", type=int, default=0, help="every sample's seed derives from it (default %(default)s)")
    group.add_argument(
        "--chunk", type=int, default=16, help="samples of one request, durable together (default %(default)s)"
    )


def parse(args: argparse.Namespace) -> SamplingParams:
    """The parameters. Raises UserError for a value outside its range."""
    for flag, value in (("--n", args.n), ("--chunk", args.chunk)):
        if value < 1:
            raise UserError(f"{flag} must be at least 1")
    if args.temperature == 0 and args.n > 1:
        raise UserError("--temperature 0 draws the same response every time; use --n 1 or a temperature above 0")
    return SamplingParams(
        temperature=args.temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        min_p=args.min_p,
        max_tokens=args.max_tokens,
        stop=tuple(args.stop),
        run_seed=args.seed,
    )
