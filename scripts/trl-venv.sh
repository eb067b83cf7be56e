#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make .venv-trl, the environment in which TRL trains transformers' Qwen2.5-VL beside ours (`make interop`).
#
#   scripts/trl-venv.sh .venv/bin/python
#
# torch (of the CPU), torchvision, transformers, accelerate and peft are seen in the given environment through a path
# file, in the versions of constraints.txt. TRL and what else it imports are installed here, without dependencies:
# pip would otherwise choose another build of torch.
set -euo pipefail

python=${1:?give the interpreter of the environment with torch: scripts/trl-venv.sh .venv/bin/python}
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$root/.venv-trl

packages=(
  trl==1.16.0
  # imported by TRL
  datasets==5.2.0 dill==0.4.1 multiprocess==0.70.19 pandas==3.1.1 pytz==2026.6 six tzdata xxhash==4.1.0
)

rm -rf "$folder"
"$python" -m venv --without-pip "$folder"
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -m pip --disable-pip-version-check --python "$folder/bin/python" install --no-deps \
  --ignore-installed "${packages[@]}"
{ "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; echo "$root/src"; } > "$site/zz-finesight.pth"
# Path files in that folder are not read from here, and torchvision needs its own.
echo 'import torchvision_operators; torchvision_operators.declare_before_import()' >> "$site/zz-finesight.pth"
"$folder/bin/python" - <<'CHECK'
import trl
import transformers
from trl import DPOTrainer, GRPOTrainer, SFTTrainer

print("TRL", trl.__version__, "transformers", transformers.__version__)
CHECK
