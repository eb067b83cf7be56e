#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make .venv-clients, the environment of the clients of the server and of readers of its exports in `make interop`.
#
#   scripts/clients-venv.sh .venv/bin/python
#
# Some of them need other versions of packages than ours. None of them needs torch.
set -euo pipefail

python=${1:?give an interpreter: scripts/clients-venv.sh .venv/bin/python}
folder=$(dirname "$0")/../.venv-clients

rm -rf "$folder"
"$python" -m venv "$folder"
"$folder/bin/python" -m pip --disable-pip-version-check install \
  langchain-openai==1.7.4 litellm==1.110.2 openai==3.57.0 schemathesis==4.32.5 \
  opencv-python-headless==5.0.0.93 supervision==0.27.0
