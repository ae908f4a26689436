#!/usr/bin/env bash
# AER with LoRA on one GPU of 24 GB.
#
# Needs 1 GPU of 24 GB, 48 GB of memory, two days for a 1.7B model. An estimate: nobody has measured it, and we have not run it on GPUs.
#   MODEL=... DATA=... SAVE=... examples/launch/train_aer_lora_24gb.sh
# MODEL, DATA and SAVE come from the environment; DRY_RUN=1 checks the flags and starts nothing. Run it again to resume.
set -euo pipefail
MODEL=${MODEL:-Qwen/Qwen3-1.7B-Base}
DATA=${DATA:-data/train.jsonl} # lines with "prompt" and "label": aer-data prompts
SAVE=${SAVE:-runs/train_aer_lora_24gb}
GPUS=${GPUS:-1}
NODES=${NODES:-1}
MAX_NEW_TOKENS=${MAX_NEW_TOKENS:-3072}
# shellcheck source=examples/launch/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ROLLOUT_ARGS=(
    --rollout.batch_size 32
    --rollout.n_samples_per_prompt 8
    --rollout.max_new_tokens "$MAX_NEW_TOKENS"
    --rollout.temperature 1.0
    --rollout.micro_batch_size 8
)
ENGINE_ARGS=(
    --actor.num_nodes "$NODES"
    --actor.num_gpus_per_node "$GPUS"
    --vllm.num_engines $((NODES * GPUS))
    --vllm.tensor_parallel_size 1
    --vllm.gpu_memory_utilization 0.4
    --vllm.enable_sleep
    --vllm.sync_backend nccl
    --ds.enable_sleep
    --ds.zero_stage 2
    --train.colocate_all
)
OPTIMIZER_ARGS=(
    --train.batch_size 256
    --train.micro_batch_size 1
    --train.dynamic_batch_enable
    --train.max_tokens_per_gpu 6144
    --ds.packing_samples
    --actor.adam.lr 1e-6
    --actor.lr_scheduler constant
    --actor.gradient_checkpointing_enable
    --algo.advantage.estimator group_norm
    --algo.kl.init_coef 0
    --ds.lora.rank 32
    --ds.lora.alpha 64
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
