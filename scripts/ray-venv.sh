#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make .venv-ray, the environment in which the server is tested behind Ray Serve and the loader with Ray Data
# (`make interop`).
#
#   scripts/ray-venv.sh .venv/bin/python
#
# torch and finesight are seen in the given environment through a path file.
set -euo pipefail

python=${1:?give the interpreter of the environment with torch: scripts/ray-venv.sh .venv/bin/python}
root=$(cd "$(dirname "$0")/.." && pwd)
rm -rf "$root/.venv-ray"
"$python" -m venv "$root/.venv-ray"
"$root/.venv-ray/bin/python" -m pip --disable-pip-version-check install 'ray[data,serve]==2.60.0'
site=$("$root/.venv-ray/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
{ "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; echo "$root/src"; } > "$site/zz-finesight.pth"
