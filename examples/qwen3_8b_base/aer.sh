#!/usr/bin/env bash
# Qwen3-8B-Base with aer. Needs 8 GPUs of 80 GB, 500 GB of memory, two days: an estimate, nobody has measured it.
set -euo pipefail
# shellcheck source=examples/qwen3_8b_base/common.sh
source "$(dirname "$0")/common.sh" --aer.rho 0.5 --aer.tau 0.4 --aer.eta 1e-3 --aer.alpha_max 0.01 "$@"
