#!/usr/bin/env bash
# What a container does: one node of a Ray cluster, or any command.
#
#   head            the first node; its dashboard takes jobs on port 8265
#   worker          a further node of the cluster at RAY_HEAD (host:port); waits for it up to RAY_WAIT_S seconds
#   tensorboard     curves of every run in LOG_DIR, on port 6006
#   COMMAND...      anything else is executed as it stands
#
# RAY_START_ARGS are added to `ray start`, such as "--num-gpus 2". Ray's ports are open to all who can reach the
# container: docs/security.md.
set -euo pipefail

# A user number that the image does not know (docker run --user) has no home and no name; libraries ask for both.
[[ -w ${HOME:-/nonexistent} ]] || HOME=$(mktemp -d)
export HOME USER="${USER:-aer}" LOGNAME="${LOGNAME:-aer}"

read -r -a ray_start_args <<<"${RAY_START_ARGS:-}"

launch=$(dirname "${BASH_SOURCE[0]}")/../examples/launch

case ${1:-} in
    head) exec "$launch/node_head.sh" --dashboard-host 0.0.0.0 "${ray_start_args[@]}" ;;
    worker) exec "$launch/node_worker.sh" "${ray_start_args[@]}" ;;
    tensorboard)
        exec tensorboard --logdir "${LOG_DIR:-runs}" --host 0.0.0.0 --port 6006
        ;;
    *) exec "$@" ;;
esac
