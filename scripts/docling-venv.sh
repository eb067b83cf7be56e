#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make .venv-docling, the environment in which docling-core loads and exports the documents we write (`make interop`).
#
#   scripts/docling-venv.sh .venv/bin/python
#
# It needs other versions of packages than ours, and no torch.
set -euo pipefail

python=${1:?give an interpreter: scripts/docling-venv.sh .venv/bin/python}
folder=$(dirname "$0")/../.venv-docling

rm -rf "$folder"
"$python" -m venv "$folder"
"$folder/bin/python" -m pip --disable-pip-version-check install docling-core==2.104.0
