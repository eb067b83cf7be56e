#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make .harnesses, the environment in which the scorers of lmms-eval and VLMEvalKit run beside ours (`make interop`).
#
#   scripts/harness-venv.sh .venv/bin/python
#
# Both are installed without what they depend on: of their dozens of packages, scorers need the few named here, and
# torch, numpy and the like are seen in the given environment through a path file.
set -euo pipefail

python=${1:?give the interpreter of the environment with torch: scripts/harness-venv.sh .venv/bin/python}
folder=$(dirname "$0")/../.harnesses

packages=(
  lmms-eval==0.7.3 ms-vlmeval==0.0.20
  # imported by the files with their scorers
  antlr4-python3-runtime==4.7.2 datasets==5.2.0 decorator==5.2.1 decord==0.6.0 distance==0.1.3 editdistance==0.8.1
  evaluate==0.4.6 jieba==0.42.1 json-repair==0.64.6 latex2sympy2==1.9.1 levenshtein==0.27.5 loguru==0.7.3 nltk==3.10.4
  opencv-python-headless pandas==3.1.1 polygon3==3.0.9.1 python-dotenv==1.2.4 sqlitedict==2.1.0 sty==1.0.6
  timeout-decorator==0.5.0 unidecode==1.4.0 validators==0.36.0 zss==1.2.0
  # imported by those
  dill==0.4.1 joblib==1.6.0 multiprocess==0.70.19 pytz==2026.6 shapely==2.2.0 six tzdata xxhash==4.1.0
)

rm -rf "$folder"
"$python" -m venv --without-pip "$folder"
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$site/torch-and-the-like.pth"
# Path files in that folder are not read from here, and torchvision needs its own.
echo 'import torchvision_operators; torchvision_operators.declare_before_import()' >> "$site/torch-and-the-like.pth"
"$python" -m pip --disable-pip-version-check --python "$folder/bin/python" install --no-deps \
  --ignore-installed "${packages[@]}"  # never take away what is seen through the path file
# sympy reads formulas with a later release of ANTLR than latex2sympy2; it lies where only those who ask for it look
"$python" -m pip --disable-pip-version-check install --no-deps --target "$folder/antlr-4.11" \
  antlr4-python3-runtime==4.11.1
