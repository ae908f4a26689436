"""A bad dataset row is named by file and line, with the mend, before anything starts."""

import re

import pytest

from aer_openrlhf.integration.preflight import check_rows

GOOD = '{"input": "1 + 1?", "label": "2"}'


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ('{"input": "", "label": "2"}', "'input' is empty"),
        ('{"input": " \\n", "label": "2"}', "'input' is empty"),
        ('{"input": 7, "label": "2"}', "'input' is int, not a string"),
        ('{"input": null, "label": "2"}', "'input' is NoneType, not a string"),
        ('{"input": [{"role": "user"}], "label": "2"}', "'input' is list, not a string"),
        ('{"prompt": "x", "label": "2"}', "there is no key 'input': name the prompt's key with --data.input_key"),
        ('{"input": "x"}', "there is no key 'label'"),
        ('["x"]', "not a JSON object"),
        ('{"input": "x"', "not JSON"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path, row, fault):
    path = tmp_path / "data.jsonl"
    path.write_text(f"{GOOD}\n\n{row}\n{GOOD}\n")
    with pytest.raises(ValueError, match=f"line 3: {re.escape(fault)}") as refusal:
        check_rows(path, "input", "label", chat=False)
    assert str(refusal.value).startswith(f"--data.prompt_dataset {path}, ")
    assert "\n" not in str(refusal.value)


def test_messages_are_prompts_with_a_chat_template_and_an_empty_list_is_not(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text('{"input": [{"role": "user", "content": "x"}]}\n{"input": []}\n')
    with pytest.raises(ValueError, match="line 2: 'input' is empty"):
        check_rows(path, "input", None, chat=True)


def test_a_file_without_rows_is_refused(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("\n")
    with pytest.raises(ValueError, match="holds no row"):
        check_rows(path, "input", None, chat=False)
