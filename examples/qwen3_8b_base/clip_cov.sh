#!/usr/bin/env bash
# Qwen3-8B-Base with clip_cov: common.sh says what it needs.
set -euo pipefail
# shellcheck source=examples/qwen3_8b_base/common.sh
source "$(dirname "$0")/common.sh" --aer.method clip_cov "$@"
