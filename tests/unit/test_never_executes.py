"""A reward and the grader compile nothing that a model writes but its numerals: Python's own audit events say so.

sympy makes a number out of a numeral by evaluating `Integer (57 )`, where 57 has come through the grammar of a number.
"""

import json
import subprocess
import sys
import textwrap

import pytest

# In a process of its own, for an audit hook cannot be taken away. Workers of the grader run `judge_all`, as here.
AUDITED = textwrap.dedent(
    """
    import json, re, sys
    from aer_eval.grading.worker import judge_all
    from aer_openrlhf.rewards import countdown, make_n, swap_sort
    gold, labels, answers = json.loads(sys.stdin.read())
    judge_all(gold, ["1+x"])  # what is imported on first use is imported now
    seen = []
    NUMERAL = re.compile(rb"Integer \\([0-9]+ \\)|Float \\('[0-9.]+' \\)")

    def hook(event, arguments):
        if event in ("compile", "exec", "os.system", "subprocess.Popen", "open", "import", "pickle.find_class"):
            code = arguments[0]
            numeral = isinstance(code, bytes) and NUMERAL.fullmatch(code)
            text = repr(arguments) + repr((getattr(code, "co_names", ""), getattr(code, "co_consts", "")))
            if "pwned" in text or ("8675309" in text and event != "exec" and not numeral):
                seen.append(event)

    sys.addaudithook(hook)
    eval(compile("'pwned'", "control", "eval"))
    control, seen[:] = list(seen), []
    judge_all(gold, answers)
    queries, prompts = [f"prompt={answer}<eos>" for answer in answers], ["prompt="] * len(answers)
    for reward, label in ((countdown, labels[0]), (make_n, labels[1]), (swap_sort, labels[1])):
        reward.reward_func(queries, prompts, [label] * len(answers))
    print(json.dumps([control, seen]))
    """
)
ANSWERS = [
    "pwned",
    "pwned+1",
    "__import__('os').system('pwned')",
    "open('pwned','w')",
    "exec(\"open('pwned')\")",
    "(lambda: pwned)()",
    r"\text{__import__('pwned')}",
    r"\frac{pwned}{2}",
    r"\mathrm{pwned}(x)",
    r"\sqrt{pwned.__class__}",
    "x^{pwned}",
    "[pwned for pwned in ()]",
    "1+1#pwned",
    "1*2+3;pwned",
    "{'pwned': 1}",
    "8675309x+1",
    r"\frac{8675309}{x}",
    "8675309.25x^2",
]


@pytest.mark.parametrize("gold", ["x^2+1", "5", r"\{1, 2\}", r"\text{pwned}"])
def test_no_event_of_python_carries_an_answers_text(gold, tmp_path):
    given = json.dumps([gold, ["[[1, 2, 3], 5]", "57"], ANSWERS])
    done = subprocess.run(
        [sys.executable, "-c", AUDITED], input=given, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    control, seen = json.loads(done.stdout.splitlines()[-1])
    assert control == ["compile", "exec"]  # the hook works
    assert seen == []
    assert list(tmp_path.iterdir()) == []
