#!/usr/bin/env bash
# Qwen3-4B-Base with aer: common.sh says what it needs.
set -euo pipefail
# shellcheck source=examples/qwen3_4b_base/common.sh
source "$(dirname "$0")/common.sh" --aer.rho 0.5 --aer.tau 0.4 --aer.eta 1e-3 --aer.alpha_max 0.01 "$@"
