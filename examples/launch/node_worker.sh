#!/usr/bin/env bash
# A further node of a Ray cluster made by hand: waits for the head up to RAY_WAIT_S seconds, then joins; it stays in the
# foreground. Without GPUS Ray counts the GPUs itself; further arguments are those of `ray start`.
#
#   RAY_HEAD=10.0.0.1:6379 examples/launch/node_worker.sh
set -euo pipefail
: "${RAY_HEAD:?the address of the head, host:port}"
limit=$((SECONDS + ${RAY_WAIT_S:-300}))
until ray health-check --address "$RAY_HEAD" 2>/dev/null; do
    ((SECONDS < limit)) || { echo "node_worker: no Ray head at RAY_HEAD=$RAY_HEAD after ${RAY_WAIT_S:-300} s" >&2 && exit 1; }
    sleep 5
done
exec ray start --address "$RAY_HEAD" ${GPUS:+--num-gpus "$GPUS"} --disable-usage-stats --block "$@"
