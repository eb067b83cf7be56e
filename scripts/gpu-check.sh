#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tests that need a CUDA device, then the network beside transformers on it.
#
#   scripts/gpu-check.sh FOLDER     writes tests.txt and bench.json there; copy what is worth keeping to docs/results
#
# PYTHON names the interpreter; nothing is installed and nothing is fetched. A failed test does not keep the benchmarks
# from running: minutes on such a machine are few, and both are wanted. The exit code tells of either.
set -uo pipefail

cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
out="${1:?folder to write}"
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
mkdir -p "$out"
failed=0

# Only the files that hold such tests: the others may need packages that are not there.
mapfile -t files < <(grep -rl --include='test_*.py' 'pytest.mark.gpu' tests)
"$python" -m pytest -q -p no:cacheprovider -m gpu --durations=10 "${files[@]}" 2>&1 | tee "$out/tests.txt" || failed=1
"$python" -W ignore -m benchmarks --device cuda --json >"$out/bench.json" || failed=1
cat "$out/bench.json"
exit "$failed"
