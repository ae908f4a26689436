#!/usr/bin/env bash
# AER, asynchronous with partial rollout: half of the GPUs sample while the others train.
#
# Needs 8 GPUs of 80 GB, 500 GB of memory, a day for a 4B model. An estimate: nobody has measured it, and we have not run it on GPUs.
#   MODEL=... DATA=... SAVE=... examples/launch/train_aer_ray_async.sh
# MODEL, DATA and SAVE come from the environment; DRY_RUN=1 checks the flags and starts nothing. Run it again to resume.
set -euo pipefail
MODEL=${MODEL:-Qwen/Qwen3-4B-Base}
DATA=${DATA:-data/train.jsonl} # lines with "prompt" and "label": aer-data prompts
SAVE=${SAVE:-runs/train_aer_ray_async}
GPUS=${GPUS:-8}
NODES=${NODES:-1}
MAX_NEW_TOKENS=${MAX_NEW_TOKENS:-3072}
# shellcheck source=examples/launch/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ROLLOUT_ARGS=(
    --rollout.batch_size 128
    --rollout.n_samples_per_prompt 8
    --rollout.max_new_tokens "$MAX_NEW_TOKENS"
    --rollout.temperature 1.0
    --rollout.micro_batch_size 8
)
ENGINE_ARGS=(
    --actor.num_nodes "$NODES"
    --actor.num_gpus_per_node $((GPUS / 2))
    --vllm.num_engines $((NODES * GPUS / 2))
    --vllm.tensor_parallel_size 1
    --vllm.gpu_memory_utilization 0.9
    --vllm.sync_backend nccl
    --ds.zero_stage 3
    --train.async_enable
    --train.async_queue_size 1
    --train.partial_rollout_enable
)
OPTIMIZER_ARGS=(
    --train.batch_size 1024
    --train.micro_batch_size 1
    --train.dynamic_batch_enable
    --train.max_tokens_per_gpu 16384
    --ds.packing_samples
    --actor.adam.lr 1e-6
    --actor.lr_scheduler constant
    --actor.gradient_checkpointing_enable
    --algo.advantage.estimator group_norm
    --algo.kl.init_coef 0
    --algo.advantage.is_correction_level token
    --algo.advantage.is_correction_mode clip
)
AER_ARGS=(
    --aer.enable
    --aer.rho 0.5
    --aer.tau 0.4
    --aer.eta 1e-3
    --aer.alpha_max 0.01
)

launch "${CKPT_ARGS[@]}" "${DATA_ARGS[@]}" "${ROLLOUT_ARGS[@]}" "${ENGINE_ARGS[@]}" "${OPTIMIZER_ARGS[@]}" \
    "${AER_ARGS[@]}" "$@"
