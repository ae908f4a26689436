#!/usr/bin/env bash
# Takes a run up again from its newest checkpoint, and once more after every failure that left a newer one behind.
#
# Needs what the launch script of the run needs (GPUs, memory, hours), and its variables as they were at the start.
#   MODEL=... DATA=... SAVE=... examples/launch/resume.sh examples/launch/train_aer_grpo_ray_hybrid_engine.sh
set -euo pipefail

die() {
    printf 'resume.sh: %s\n' "$*" >&2
    exit 2
}

script=${1:?the launch script of the run}
[[ -x $script ]] || die "$script: there is no such script"
latest=${SAVE:?the folder of the run}/checkpoints/_actor/latest
[[ -f $latest ]] || die "SAVE=$SAVE: there is no checkpoint to resume from; start the run with $script"

failed_at=
until "$@"; do
    [[ $(<"$latest") != "$failed_at" ]] || die "the run failed twice after checkpoint $failed_at: read its log"
    failed_at=$(<"$latest")
    printf 'resume.sh: the run failed; it goes on from %s\n' "$failed_at"
done
