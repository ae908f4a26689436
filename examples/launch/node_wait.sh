#!/usr/bin/env bash
# On the head, before a launch script: waits until NODES x GPUS GPUs have joined and the job server answers.
#
#   NODES=2 GPUS=8 examples/launch/node_wait.sh && CLUSTER=1 NODES=2 examples/launch/train_aer_grpo_ray_hybrid_engine.sh
set -euo pipefail
wanted=$((${NODES:?nodes of the cluster} * ${GPUS:-8}))
limit=$((SECONDS + ${RAY_WAIT_S:-300}))
address=127.0.0.1:${RAY_PORT:-6379}
until found=$("${PYTHON:-python3}" -c "import ray; ray.init('$address', log_to_driver=False); \
print(int(ray.cluster_resources().get('GPU', 0)))" 2>/dev/null) && ((found >= wanted)) &&
    env -u RAY_ADDRESS ray job list --address "${RAY_DASHBOARD:-http://127.0.0.1:8265}" >/dev/null 2>&1; do
    ((SECONDS < limit)) || { echo "node_wait: ${found:-0} of $wanted GPUs after ${RAY_WAIT_S:-300} s" >&2 && exit 1; }
    sleep 5
done
