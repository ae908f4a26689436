#!/usr/bin/env bash
# The first node of a Ray cluster made by hand: start this before the workers; it stays in the foreground.
# Its dashboard, which takes jobs, listens on this node's loopback only. Without GPUS Ray counts the GPUs itself; further
# arguments are those of `ray start`, and win.
#
#   RAY_PORT=6379 examples/launch/node_head.sh
set -euo pipefail
exec ray start --head --port "${RAY_PORT:-6379}" ${GPUS:+--num-gpus "$GPUS"} --dashboard-host 127.0.0.1 \
    --dashboard-port "${RAY_DASHBOARD_PORT:-8265}" --disable-usage-stats --block "$@"
