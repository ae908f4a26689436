#!/usr/bin/env bash
# Qwen3-8B-Base with kl_cov. Needs 8 GPUs of 80 GB, 500 GB of memory, two days: an estimate, nobody has measured it.
# The authors' settings: no PPO clip, 8 optimizer steps a rollout. With one step there is no drift to penalise.
set -euo pipefail
# shellcheck source=examples/qwen3_8b_base/common.sh
source "$(dirname "$0")/common.sh" --aer.method kl_cov --actor.eps_clip_low_high 1 1e9 --train.batch_size 128 "$@"
