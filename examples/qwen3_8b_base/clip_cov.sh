#!/usr/bin/env bash
# Qwen3-8B-Base with clip_cov. Needs 8 GPUs of 80 GB, 500 GB of memory, two days: an estimate, nobody has measured it.
# The authors open the PPO clip.
set -euo pipefail
# shellcheck source=examples/qwen3_8b_base/common.sh
source "$(dirname "$0")/common.sh" --aer.method clip_cov --actor.eps_clip_low_high 1 1 "$@"
