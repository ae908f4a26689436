#!/usr/bin/env bash
# Qwen3-8B-Base with clip_higher. Needs 8 GPUs of 80 GB, 500 GB of memory, two days: an estimate, nobody has measured it.
# DAPO's bounds and its 16 optimizer steps a rollout. With one step the ratio is 1, and no bound is ever reached.
set -euo pipefail
# shellcheck source=examples/qwen3_8b_base/common.sh
source "$(dirname "$0")/common.sh" --aer.alpha_max 0 --actor.eps_clip_low_high 0.2 0.28 --train.batch_size 64 "$@"
