# shellcheck shell=bash
# What every launch script shares: early checks, the data, submission to Ray, and the evaluation command at the end.
# Sourced with MODEL, DATA, SAVE, GPUS and MAX_NEW_TOKENS set.
RAY_DASHBOARD=${RAY_DASHBOARD:-http://127.0.0.1:8265}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
REWARD=${REWARD:-$ROOT/aer_openrlhf/rewards/math.py}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 2
}

# The job runs where `ray start` was called, in that shell's environment: what it is given has to be found from there.
PYTHON=$(command -v "${PYTHON:-python3}") || die "PYTHON=${PYTHON:-python3}: there is no such program"
absolute() { # a path that is here; anything else is a hub id
    if [[ -e $1 ]]; then realpath -- "$1"; else printf '%s\n' "$1"; fi
}

require_path() { # NAME VALUE: a local path must be there; a hub id is left to the hub
    [[ $2 != [/.~]* && $2 != *.jsonl || -e $2 ]] || die "$1=$2: there is no such file or folder"
}

require_gpus() { # GPUs of this machine; the nodes of a cluster are Ray's to count
    [[ -z ${DRY_RUN:-} && -z ${CLUSTER:-} ]] || return 0
    command -v nvidia-smi >/dev/null || die "needs $1 GPUs, and finds no nvidia-smi (DRY_RUN=1 checks the flags only)"
    local found
    found=$(nvidia-smi --list-gpus | wc -l)
    ((found >= $1)) || die "needs $1 GPUs, this machine has $found"
}

launch() { # aer-train with these flags as a Ray job; ray job submit fails where the job does
    local train=("$PYTHON" -m aer_openrlhf.cli.train_ppo_ray "$@")
    if [[ -n ${DRY_RUN:-} ]]; then
        "${train[@]}" --dry-run
    else # inside a job RAY_ADDRESS names the cluster itself, and would win over the address of the job server
        env -u RAY_ADDRESS ray job submit --address "$RAY_DASHBOARD" -- "${train[@]}"
    fi
    local result=$SAVE
    printf 'Evaluate the result:\n'
    if [[ " $* " == *" --ds.lora.rank "* ]]; then # what is saved is the adapter alone
        result=$SAVE/merged
        printf '  %q -m openrlhf.cli.lora_combiner --model_path %q --lora_path %q --output_path %q\n' \
            "$PYTHON" "$MODEL" "$SAVE" "$result"
    fi
    printf '  aer-eval run --suite aer_math --model %q --template %q --n 64 --max-tokens %q --data-parallel %q --out %q\n' \
        "$result" "${EVAL_TEMPLATE:-chat}" "$MAX_NEW_TOKENS" "$GPUS" "$SAVE/eval"
}

require_path MODEL "${MODEL:?}"
require_path DATA "${DATA:?}"
require_gpus "${GPUS:?}"
MODEL=$(absolute "$MODEL") DATA=$(absolute "$DATA") SAVE=$(realpath --canonicalize-missing -- "${SAVE:?}")

# The same command resumes: it loads the newest checkpoint, and starts anew where there is none.
# shellcheck disable=SC2034 # used by the scripts that source this
CKPT_ARGS=(
    --ckpt.output_dir "$SAVE"
    --ckpt.path "$SAVE/checkpoints"
    --ckpt.load_enable
    --ckpt.save_steps "${SAVE_STEPS:-20}"
    --ckpt.save_hf
    --ckpt.max_num 3
    --logger.tensorboard_dir "$SAVE/tensorboard"
)
# shellcheck disable=SC2034
DATA_ARGS=(
    --actor.model_name_or_path "$MODEL"
    --data.prompt_dataset "$DATA"
    --data.input_key prompt
    --data.label_key label
    --data.max_len $((${MAX_NEW_TOKENS:?} + 1024))
    --data.apply_chat_template
    --reward.remote_url "$REWARD"
    --reward.stop_properly_penalty_coef 0
)
