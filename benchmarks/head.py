"""Peak memory and time of the language-model head: OpenRLHF's path without and with entropy, and the fused head.

python benchmarks/head.py [--tokens 4096 ...] [--vocab 151936 ...] [--hidden 1024 ...] [--rounds 3] [--json]

Each case is one forward and backward from hidden states to their gradient and the weight's, in a process of its own:

    stock           float32 logits, log-probabilities by OpenRLHF's own function
    stock_entropy   and entropy with gradient by OpenRLHF's own function
    fused           log-probabilities and entropy by the fused head

Extra memory is what comes on top of hidden states, weight and an imported torch: on a CPU the rise of the process's
peak resident memory, on a GPU the allocator's peak. OpenRLHF's entropy runs eagerly here, as on the CPU platform;
under torch.compile it keeps one float32 copy of the logits less. Seconds are the best of the rounds, interleaved. A
case that the machine's free memory does not hold is left out, and a line says so.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import torch

CASES = ("stock", "stock_entropy", "fused")
MIB = 2**20


def run_case(case: str, tokens: int, vocabulary: int, hidden_size: int, dtype_name: str, memory_mb: float) -> dict:
    """One forward and backward; called in a fresh process."""
    os.environ |= {"TORCHDYNAMO_DISABLE": "1", "DS_ACCELERATOR": "cpu"}
    from aer_openrlhf.fused_head import fused_head
    from aer_openrlhf.platforms import current_platform

    current_platform().prepare_process()
    from openrlhf.models.utils import compute_entropy, log_probs_from_logits

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[dtype_name]
    torch.manual_seed(0)
    hidden = torch.randn(tokens, hidden_size, device=device).to(dtype).requires_grad_()
    weight = (torch.randn(vocabulary, hidden_size, device=device) / hidden_size**0.5).to(dtype).requires_grad_()
    labels = torch.randint(0, vocabulary, (tokens,), device=device)
    upstream = torch.randn(tokens, device=device)

    def loss() -> torch.Tensor:
        if case == "fused":
            log_probs, entropy = fused_head(hidden, weight, labels, memory_mb=memory_mb)
            return (log_probs * upstream).sum() - 0.01 * entropy.sum()
        logits = torch.nn.functional.linear(hidden, weight).to(torch.float32)
        entropy = compute_entropy(logits).sum() if case == "stock_entropy" else 0.0
        return (log_probs_from_logits(logits, labels) * upstream).sum() - 0.01 * entropy

    before = _reset_peak(device)
    started = time.perf_counter()
    loss().backward()
    if device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return {
        "case": case,
        "tokens": tokens,
        "vocab": vocabulary,
        "hidden": hidden_size,
        "dtype": dtype_name,
        "peak_extra_mb": round(_peak_mb(device) - before, 1),
        "seconds": round(seconds, 3),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
    }


def _reset_peak(device: str) -> float:
    """Memory in use now, MiB; peaks count from here."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / MIB
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the high-water mark falls to the present resident memory
    return _status_mb("VmRSS")


def _peak_mb(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / MIB
    return _status_mb("VmHWM")


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def measure(size: tuple[int, int, int], args: argparse.Namespace) -> dict[str, dict]:
    """Best time and largest peak of every case that fits, over the rounds; size: tokens, vocabulary, hidden."""
    fitting = [case for case in CASES if _fits(case, *size)]
    results: dict[str, dict] = {}
    for _ in range(args.rounds):
        for case in fitting:
            figures = _run_in_a_process(case, size, args)
            best = results.setdefault(case, figures)
            best["seconds"] = min(best["seconds"], figures["seconds"])
            best["peak_extra_mb"] = max(best["peak_extra_mb"], figures["peak_extra_mb"])
    return results


def _fits(case: str, tokens: int, vocabulary: int, hidden_size: int) -> bool:
    """Whether a CPU's free memory holds 16 bytes a logit, 32 with entropy, and four times the weight."""
    needed = {"stock": 16, "stock_entropy": 32, "fused": 0}[case] * tokens * vocabulary + 8 * vocabulary * hidden_size
    if torch.cuda.is_available() or needed < psutil.virtual_memory().available:
        return True
    print(
        f"{case} at {tokens} x {vocabulary} x {hidden_size} needs {needed / 2**30:.0f} GiB: left out", file=sys.stderr
    )
    return False


def _run_in_a_process(case: str, size: tuple[int, int, int], args: argparse.Namespace) -> dict:
    words = [sys.executable, __file__, "--case", case, "--dtype", args.dtype, "--memory-mb", str(args.memory_mb)]
    for name, value in zip(("--tokens", "--vocab", "--hidden"), size, strict=True):
        words += [name, str(value)]
    output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict = json.loads(output.splitlines()[-1])
    return figures


def projection(vocabulary: int, hidden_size: int, memory_mb: float) -> list[str]:
    """GiB that each path adds for bf16, counted from the tensors alive at the peak of its backward, not measured.

    Stock: logits in bf16 and float32, and the float32 gradient with its bf16 copy: 12 bytes a logit. With entropy,
    under torch.compile: one float32 gradient more: 16. Fused: the tile. All: the weight's gradient.
    """
    lines = ["| tokens | stock, GiB | stock with entropy, GiB | fused, GiB |", "|---|---|---|---|"]
    weight = 2 * vocabulary * hidden_size
    for tokens in (16_384, 32_768, 65_536):
        logits = tokens * vocabulary
        counted = [12 * logits, 16 * logits, memory_mb * MIB + 4 * tokens * hidden_size]
        lines.append(f"| {tokens:,} | " + " | ".join(f"{(part + weight) / 2**30:.1f}" for part in counted) + " |")
    return lines


def table(results: list[dict[str, dict]]) -> str:
    """Markdown, a line a case; ratios to stock with entropy where that could be measured."""
    lines = [
        "| tokens x vocabulary x hidden | case | extra memory, MB | of stock with entropy | seconds | of stock with "
        "entropy |",
        "|---|---|---|---|---|---|",
    ]
    for cases in results:
        reference = cases.get("stock_entropy", {})
        for case, figures in cases.items():
            cells = [f"{figures['tokens']:,} x {figures['vocab']:,} x {figures['hidden']:,}", case]
            for name, digits in (("peak_extra_mb", 0), ("seconds", 2)):
                ratio = f"{figures[name] / reference[name]:.3f}" if reference else ""
                cells += [f"{figures[name]:,.{digits}f}", ratio]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096])
    parser.add_argument("--vocab", type=int, nargs="+", default=[151_936])
    parser.add_argument("--hidden", type=int, nargs="+", default=[1024])
    parser.add_argument("--dtype", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--memory-mb", type=float, default=256, help="memory of the fused head's tile")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one object a case instead of the tables")
    parser.add_argument("--case", choices=CASES, help="measure one case of one size in this process, print its object")
    args = parser.parse_args()
    sizes = list(itertools.product(args.tokens, args.vocab, args.hidden))
    if args.case:
        print(json.dumps(run_case(args.case, *sizes[0], args.dtype, args.memory_mb)))
        return
    results = [measure(size, args) for size in sizes]
    if args.json:
        for figures in itertools.chain.from_iterable(cases.values() for cases in results):
            print(json.dumps(figures))
        return
    device = next(figures["device"] for cases in results for figures in cases.values())
    print(f"{args.dtype}, {device}\n\n{table(results)}")
    print(f"\nProjection for a GPU, bf16, {args.vocab[-1]:,} x {args.hidden[-1]:,}, counted and not measured:\n")
    print("\n".join(projection(args.vocab[-1], args.hidden[-1], args.memory_mb)))


if __name__ == "__main__":
    main()
