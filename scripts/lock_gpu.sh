#!/usr/bin/env bash
# Resolves requirements/gpu.txt anew and writes requirements/gpu.lock: pip in dry-run, for Python 3.12 on Linux x86-64.
# Nothing is installed and no GPU is needed; of the packages without a wheel pip fetches the source for its metadata.
#
#   scripts/lock_gpu.sh                                    then read `git diff requirements/gpu.lock`
#   PYTHON=/path/to/python3.12 scripts/lock_gpu.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PIP="pip==26.3" # as in docker/Dockerfile, which installs the lock
readonly PYTHON=${PYTHON:-python3.12}

die() {
    printf 'lock_gpu: %s\n' "$*" >&2
    exit 1
}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null ||
    die "needs Python 3.12: name one, PYTHON=/path/to/python3.12 scripts/lock_gpu.sh"
[[ $(uname -sm) == "Linux x86_64" ]] || die "resolves for the machine it runs on: needs Linux x86_64"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$PIP"

# flash-attn builds against the torch that is installed, even for its metadata: a wheel that holds nothing but the name
# takes its place, and is left out of the lock.
flash_attn=$(sed -n 's/^flash-attn==//p' requirements/gpu.txt)
"$PYTHON" - "$folder" "$flash_attn" <<'PYTHON'
import sys
import zipfile
from pathlib import Path

folder, version = Path(sys.argv[1]), sys.argv[2]
info = f"flash_attn-{version}.dist-info"
with zipfile.ZipFile(folder / f"flash_attn-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: flash-attn\nVersion: {version}\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "")
PYTHON

"$folder/venv/bin/python" -m pip install --dry-run --ignore-installed --quiet --disable-pip-version-check \
    --find-links "$folder" --report "$folder/report.json" --requirement requirements/gpu.txt

"$PYTHON" - "$folder/report.json" "${PIP#pip==}" >"$folder/gpu.lock" <<'PYTHON'
import json
import re
import sys
from pathlib import Path

print(f"""\
# requirements/gpu.txt as pip {sys.argv[2]} resolves it for Python 3.12 on Linux x86-64 (scripts/lock_gpu.sh);
# flash-attn is left out, for it is built from source afterwards. Installed with `pip install --no-deps -r`.
# Resolved, not yet installed on a GPU machine by us.""")
found = {}
for package in json.loads(Path(sys.argv[1]).read_text())["install"]:
    name = re.sub(r"[-_.]+", "-", package["metadata"]["name"]).lower()
    sha256 = package["download_info"]["archive_info"]["hashes"]["sha256"]
    found[name] = f"{name}=={package['metadata']['version']} --hash=sha256:{sha256}"
del found["flash-attn"]
print("\n".join(found[name] for name in sorted(found)))
PYTHON
mv "$folder/gpu.lock" requirements/gpu.lock
printf 'requirements/gpu.lock holds %d packages\n' "$(grep -c == requirements/gpu.lock)"
