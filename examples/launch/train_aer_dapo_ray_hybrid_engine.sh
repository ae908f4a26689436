#!/usr/bin/env bash
# AER in a DAPO-style run: clip-higher, dynamic filtering, overlong penalty. Filtering drops the all-wrong groups.
# As in DAPO 16 optimizer steps a rollout: with one the ratio is 1, and no bound of the clip is ever reached.
#
# Needs 8 GPUs of 80 GB, 500 GB of memory, two days for a 4B model. An estimate: nobody has measured it, and we have not run it on GPUs.
#   MODEL=... DATA=... SAVE=... examples/launch/train_aer_dapo_ray_hybrid_engine.sh
# MODEL, DATA and SAVE come from the environment; DRY_RUN=1 checks the flags and starts nothing. Run it again to resume.
set -euo pipefail
export SAVE=${SAVE:-runs/train_aer_dapo_ray_hybrid_engine}
exec "$(dirname "${BASH_SOURCE[0]}")/train_aer_grpo_ray_hybrid_engine.sh" \
    --actor.eps_clip_low_high 0.2 0.28 \
    --train.batch_size 64 \
    --algo.dynamic_filtering_enable \
    --algo.dynamic_filtering_range 0 1 \
    --reward.overlong_buffer_len 512 \
    --reward.overlong_penalty_factor 1 \
    "$@"
