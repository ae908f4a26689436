#!/usr/bin/env bash
# The first node of a Ray cluster made by hand: start this before the workers; it stays in the foreground.
# Its dashboard, which takes jobs, listens on this node's loopback only.
#
#   GPUS=8 RAY_PORT=6379 examples/launch/node_head.sh
set -euo pipefail
exec ray start --head --port "${RAY_PORT:-6379}" --num-gpus "${GPUS:-8}" --dashboard-host 127.0.0.1 \
    --dashboard-port 8265 --disable-usage-stats --block
