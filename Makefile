PY := .venv/bin/python
TASK ?= countdown
SEEDS ?= 1

.DEFAULT_GOAL := help
.PHONY: help venv quickstart demo test test-unit style format clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/  make \1\t\2/p' Makefile | expand -t 20

# Always asked, never a file: the script itself knows, by a stamp over its inputs, whether there is anything to do.
venv:  ## .venv with the pinned CPU stack, the development tools and this project
	@scripts/setup_cpu.sh

quickstart: venv  ## train the demo model with AER on this machine's CPU, evaluate it, write the report
	$(PY) examples/quickstart/run.py

demo: venv  ## AER against GRPO: TASK=countdown (make_n, swap_sort) SEEDS="1 2 3"
	$(PY) -m aer_openrlhf.cli.study run examples/studies/demo-$(TASK).yaml --seeds $(SEEDS) --each-seed
	$(PY) -m aer_openrlhf.report.cli $$(dirname runs/demo-$(TASK)/$(TASK)/*/seed-*/done.json) --out runs/demo-$(TASK)

# Two files at a time: a run that starts up keeps one core busy. In the order of the files, the slow ones first.
test: venv  ## every test, those on the real stack included
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-unit: venv  ## the tests that do not start the stack
	$(PY) -m pytest -m "not e2e"

style: venv  ## ruff, mypy, shellcheck, hadolint
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/shellcheck .ci/run $$(find . -name '*.sh' -not -path './.venv/*' -not -path './runs/*')
	.venv/bin/hadolint docker/Dockerfile docker/Dockerfile.cpu

format: venv  ## let ruff mend what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:  ## remove what the tools leave behind; .venv and runs/ stay
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist ./*.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
