# shellcheck shell=bash
# The settings of this recipe, written once; each method's script adds its flags. Sourced with the flags as arguments.
# Needs 8 GPUs of 80 GB, 500 GB of memory, two days a method: an estimate, nobody has measured it.
export MODEL=${MODEL:-Qwen/Qwen3-8B-Base}
export DATA=${DATA:-data/deepscaler.jsonl}
export SAVE=${SAVE:-runs/qwen3_8b_base/$(basename "$0" .sh)}
exec "$(dirname "${BASH_SOURCE[0]}")/../launch/train_aer_grpo_ray_hybrid_engine.sh" "$@"
