#!/usr/bin/env bash
# Healthy is a container whose Ray node runs and reaches its cluster, and one that has no Ray (yet).
set -euo pipefail
pgrep -x raylet >/dev/null || exit 0
exec ray health-check
