#!/usr/bin/env bash
#SBATCH --job-name=aer
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=24:00:00
# A launch script over several nodes of a Slurm allocation; the job fails where the training does.
# Needs nodes of 8 GPUs, the environment, DATA and SAVE on a shared disk; hours: an estimate. Not run on a cluster by us.
#
#   MODEL=... DATA=... SAVE=... sbatch examples/launch/slurm.sh
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?submit this with sbatch, from the root of the repository}"
SCRIPT=${SCRIPT:-examples/launch/train_aer_grpo_ray_hybrid_engine.sh}
export RAY_PORT=${RAY_PORT:-6379} GPUS=${GPUS:-8} NODES=$SLURM_JOB_NUM_NODES CLUSTER=slurm
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

on_head() { srun --overlap --nodes=1 --ntasks=1 --nodelist="${hosts[0]}" "$@"; }
export RAY_HEAD=${hosts[0]}:$RAY_PORT
srun --overlap --nodes=1 --ntasks=1 --nodelist="${hosts[0]}" examples/launch/node_head.sh &
for host in "${hosts[@]:1}"; do
    srun --overlap --nodes=1 --ntasks=1 --nodelist="$host" examples/launch/node_worker.sh &
done
on_head examples/launch/node_wait.sh
on_head "$SCRIPT" "$@"
