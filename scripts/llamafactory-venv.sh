#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make .venv-llamafactory, the environment in which LLaMA-Factory trains transformers' Qwen2.5-VL beside ours
# (`python -m benchmarks training`).
#
#   scripts/llamafactory-venv.sh .venv/bin/python
#
# torch (of the CPU), torchvision and accelerate are seen in the given environment through a path file. LLaMA-Factory
# and what it imports in other versions than ours are installed here, without dependencies: pip would otherwise choose
# another build of torch. Its web page and its server are left out.
set -euo pipefail

python=${1:?give the interpreter of the environment with torch: scripts/llamafactory-venv.sh .venv/bin/python}
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$root/.venv-llamafactory

packages=(
  llamafactory==0.9.5
  # the newest versions that it admits
  datasets==4.0.0 huggingface-hub==1.11.0 peft==0.18.1 transformers==5.6.0 trl==0.24.0
  # imported by those
  dill==0.3.8 fire==0.7.1 multiprocess==0.70.16 omegaconf==2.3.0 antlr4-python3-runtime==4.9.3
  pandas==3.1.1 pytz==2026.6 six termcolor==3.2.0 tzdata xxhash==4.1.0 torchdata==0.11.0 tokenizers==0.22.2
)

rm -rf "$folder"
"$python" -m venv --without-pip "$folder"
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -m pip --disable-pip-version-check --python "$folder/bin/python" install --no-deps \
  --ignore-installed "${packages[@]}"
{ "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; echo "$root/src"; } > "$site/zz-finesight.pth"
# Its reader of sounds is imported, but never called here; the build on PyPI needs libraries of CUDA.
echo '"""Empty: see scripts/llamafactory-venv.sh."""' > "$site/torchaudio.py"
# Path files in that folder are not read from here, and torchvision needs its own.
echo 'import torchvision_operators; torchvision_operators.declare_before_import()' >> "$site/zz-finesight.pth"
"$folder/bin/python" - <<'CHECK'
from importlib.metadata import version

import transformers
from llamafactory.train.tuner import run_exp

print("LLaMA-Factory", version("llamafactory"), "transformers", transformers.__version__)
CHECK
