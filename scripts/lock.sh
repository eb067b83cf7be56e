#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Print exact versions of all that is installed beside finesight, in the form of constraints.txt.
#
#   scripts/lock.sh .venv/bin/python
#
# The local part of torch's version ("+cpu") is dropped: a pin without it accepts every build of that release.
set -euo pipefail
python=${1:?usage: $0 PYTHON}

cat <<'HEAD'
# Exact versions of everything the set-up installs: the run-time, test and data groups of pyproject.toml.
# torch comes first and alone (see the Makefile), so that a local CPU build is kept where pip finds one.
# Written by `make lock` in a fresh environment.
HEAD
"$python" -m pip freeze --exclude-editable | sed -E 's/^(torch==[0-9.]+)\+[a-z0-9]+$/\1/'
