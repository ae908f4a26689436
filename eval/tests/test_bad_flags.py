"""Bad flags are one line, before an engine starts or a sample is read."""

import json

import pytest

from aer_eval.cli.main import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Here: a file with a problem, and two checkpoints without a model in them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.jsonl").write_text(json.dumps({"problem": "2 + 3", "answer": "5", "gold": "5"}) + "\n")
    for step in (1, 2):
        checkpoint = tmp_path / "ckpt" / f"global_step{step}_hf"
        checkpoint.mkdir(parents=True)
        (checkpoint / "config.json").write_text("{}")
        (checkpoint / "model.safetensors").write_bytes(b"")
    return tmp_path


RUN = "run --suite mine.jsonl --out out --model ckpt/global_step1_hf"
SWEEP = "sweep ckpt --suite mine.jsonl --out out --n 2 --select-on mine"
NO_FOLDER = "no folder none; make it or give another file"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"{RUN} --json none/p.json", f"--json none/p.json: {NO_FOLDER}"),
        ("compare a b --json none/p.json", f"--json none/p.json: {NO_FOLDER}"),
        ("contamination --train t --suite mine.jsonl --out none/c.jsonl", f"--out none/c.jsonl: {NO_FOLDER}"),
        ("score out --audit none/a.jsonl", f"--audit none/a.jsonl: {NO_FOLDER}"),
        ("grade mine.jsonl graded.jsonl --audit none/a.jsonl", f"--audit none/a.jsonl: {NO_FOLDER}"),
        (
            f"{SWEEP} --select-metric pass@8",
            "--select-metric pass@8: with --n 2 there are pass@1, pass@2, mean@n, g-pass@2_0.5, g-pass@2_0.75, "
            "mg-pass@2, pass^2, maj@1, maj@2",
        ),
        (f"{RUN} --temperature inf", "--temperature must be a number of at least 0"),
        (f"{RUN} --temperatures 0.5 inf", "--temperature must be a number of at least 0"),
        (
            f"{RUN} --engine openai --base-url http://x/v1 --dtype float16",
            "--dtype does nothing with --engine openai; leave it out",
        ),
        (f"{RUN} --engine openai --base-url http://x/v1 --give-up -1", "--give-up -1: must be above 0 seconds"),
        (f"{RUN} --engine hf --concurrency 8", "--concurrency does nothing with --engine hf; leave it out"),
        (f"{RUN} --data mine.jsonl", "--data mine.jsonl does nothing where every --suite is a file; leave it out"),
    ],
)
def test_a_bad_flag_is_one_line_and_nothing_is_written(folder, capsys, command, message):
    assert main(command.split()) == 2
    assert capsys.readouterr().err == f"aer-eval: {message}\n"
    assert sorted(path.name for path in folder.iterdir()) == ["ckpt", "mine.jsonl"]
