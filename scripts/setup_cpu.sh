#!/usr/bin/env bash
# Makes .venv: the pinned CPU stack (requirements/cpu.txt), what the evaluation and the development need beside it, and
# the project's two packages, editable.
# Does nothing where all that is already there; takes an interrupted run up where it stopped.
#
#   scripts/setup_cpu.sh                                with the first of python3, python3.12, python3.11 that fits
#   PYTHON=/path/to/python3.12 scripts/setup_cpu.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PIP="pip==26.3" # installs the stack in half the time of the pip that Python 3.11 brings
readonly TORCH="torch==2.13.0+cpu"
readonly TORCH_INDEX="https://download.pytorch.org/whl/cpu"
readonly HARMFUL="torchvision torchaudio torchcodec triton bitsandbytes flash-attn"
readonly NEEDED_MB=4000 # the finished .venv (2.2 GB), and pip's downloads on their way into it
readonly LOG=".venv/setup.log"
readonly STAMP=".venv/.setup-stamp"

die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

is_supported() { # asks the interpreter itself: a pyenv shim can be on the PATH and still not run
    "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12)])' 2>/dev/null
}

find_python() {
    local candidate candidates=${PYTHON:-python3 python3.12 python3.11}
    for candidate in $candidates; do
        if is_supported "$candidate"; then
            "$candidate" -c 'import platform, sys; print(platform.python_version(), sys._base_executable)'
            return
        fi
    done
    die "needs Python 3.11 or 3.12, and found none ($candidates): install one and name it," \
        "PYTHON=/path/to/python3.12 scripts/setup_cpu.sh"
}

check_machine() {
    [[ "$(uname -sm)" == "Linux x86_64" ]] || die "the CPU stack is built for Linux x86_64, this is $(uname -sm)"
    "$python" -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null ||
        die "vLLM needs libnuma.so.1 (Debian, Ubuntu: apt install libnuma1)"
    local free there
    free=$(df --output=avail -m . | tail -n 1)
    there=$(du -sm .venv | cut -f 1)
    ((free + there >= NEEDED_MB)) || die "needs $((NEEDED_MB - there)) MB of free disk in $PWD, there are $((free)) MB"
}

# run "what" command...: prints one line, puts the command's output into the log, and shows a sign of life
run() {
    local what=$1 start=$SECONDS next=10
    shift
    printf '%s\n' "$what"
    printf '== %s\n' "$what" >>"$LOG"
    set -m # in a process group of its own, so that all of it can be stopped with this script
    "$@" >>"$LOG" 2>&1 &
    phase=$!
    set +m
    while kill -0 "$phase" 2>/dev/null; do
        sleep 0.2
        if ((SECONDS - start >= next)); then
            printf '  %3d s  %s\n' "$next" "$(tail -n 1 "$LOG" | cut -c -100)"
            next=$((next + 10))
        fi
    done
    local status=0
    wait "$phase" || status=$?
    phase=
    return "$status"
}

must() { run "$@" || die "failed: $1: $(reason). Log: $PWD/$LOG"; }

reason() { # why the last phase failed, as far as its part of the log tells
    local output
    output=$(tac "$LOG" | sed '/^== /q')
    case "$output" in
        *"No space left on device"*) echo "the disk is full" ;;
        *"connection broken by"*) echo "the package index cannot be reached" ;;
        *) grep -m 1 -iE '^ *[a-z]*error: ' <<<"$output" || head -n 1 <<<"$output" ;;
    esac
}

pip_install() {
    # Compiling every module would double the time; the first import compiles those that are used.
    .venv/bin/python -m pip install --no-deps --no-compile --no-input --progress-bar off "$@"
}

make_venv() {
    if ! is_supported .venv/bin/python || ! grep -qxF "version = $version" .venv/pyvenv.cfg ||
        ! grep -qF -- "-m venv $PWD/.venv" .venv/pyvenv.cfg; then
        find .venv -mindepth 1 -delete
        "$python" -m venv "$PWD/.venv" || die "cannot make .venv (Debian, Ubuntu: apt install python3-venv)"
    fi
    # pip writes INSTALLER last. A package without it is half-installed, and pip would take it for whole.
    local package
    for package in .venv/lib/python3.*/site-packages/*.dist-info; do
        [[ -e "$package/INSTALLER" ]] || rm -rf "$package"
    done
}

install_torch() { # the CPU build is on PyTorch's own index, unless pip is set up to find it elsewhere
    pip_install "$TORCH" && return
    tail -n 20 "$LOG" | grep -qi "no matching distribution" &&
        pip_install --index-url "$TORCH_INDEX" "$TORCH"
}

check_versions() { # every pin is installed as it stands in the lists, and nothing that breaks the stack
    .venv/bin/python - "$HARMFUL" requirements/{cpu,eval,dev}.txt <<'EOF'
import sys
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

installed = {canonicalize_name(found.name): found.version for found in distributions()}
lines = [line.partition("#")[0].strip() for name in sys.argv[2:] for line in Path(name).read_text().splitlines()]
wrong = [
    f"{pin} is not installed"
    for pin in map(Requirement, filter(None, lines))
    if f"=={installed.get(canonicalize_name(pin.name))}" != str(pin.specifier)
]
harmful = [
    f"{name} breaks the stack, remove it (.venv/bin/pip uninstall {name})"
    for name in sys.argv[1].split()
    if name in installed
]
if wrong or harmful:
    sys.exit("error: " + "; ".join(wrong + harmful))
EOF
}

# Proves that the stack imports, and leaves the bytecode of all that the processes of a run import: where Python is told
# to write none (PYTHONDONTWRITEBYTECODE), each of them would compile 4.5 MB of source again.
first_import() {
    PYTHONDONTWRITEBYTECODE='' .venv/bin/python - <<'EOF'
from aer_openrlhf.platforms import current_platform

current_platform().prepare_process()
import openrlhf.cli.train_ppo_ray, transformers.models.qwen2.modeling_qwen2  # noqa: E401
import aer_openrlhf.cli.dry_run, aer_openrlhf.integration.trainer  # noqa: E401
import vllm.entrypoints.llm, vllm.v1.engine.async_llm, vllm.v1.engine.core, vllm.v1.worker.cpu_worker  # noqa: E401
EOF
}

found=$(find_python)
read -r version python <<<"$found"
mkdir -p .venv
exec 9<.venv
if ! flock --nonblock 9; then
    echo "Waiting for another setup of .venv to end"
    flock 9
fi
inputs=$(printf '%s\n' "$version" "$PWD" | cat - requirements/{cpu,eval,dev}.txt {,eval/}{setup.cfg,pyproject.toml} | sha256sum)
[[ -f "$STAMP" && "$(<"$STAMP")" == "$inputs" ]] && exit

check_machine
phase=
trap '[[ -z "$phase" ]] || kill -- "-$phase" 2>/dev/null || true' EXIT
printf 'Setting up .venv with Python %s (%s)\n' "$version" "$python"
rm -f "$STAMP"
make_venv
: >"$LOG"
must "[1/7] pip" pip_install "$PIP"
must "[2/7] torch, CPU build" install_torch
must "[3/7] the stack: requirements/cpu.txt" pip_install -r requirements/cpu.txt
must "[4/7] evaluation and development: requirements/eval.txt, dev.txt" pip_install -r requirements/eval.txt -r requirements/dev.txt
must "[5/7] this project, editable" pip_install --no-build-isolation -e eval -e .
must "[6/7] check of the versions" check_versions
must "[7/7] first import of the stack, which compiles its bytecode" first_import
printf '%s\n' "$inputs" >"$STAMP"
printf 'Done in %d s, %s in .venv\n' "$SECONDS" "$(du -sh .venv | cut -f 1)"
