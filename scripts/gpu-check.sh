#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tests that need a CUDA device, then measurements of the 3B and the 7B shape on it, in eight minutes.
#
#   scripts/gpu-check.sh FOLDER              writes there: results.jsonl, ceilings.json, log.txt
#   scripts/gpu-check.sh FOLDER cpu tiny     the same on a CPU at a tiny shape, to find mistakes before
#
# PYTHON names the interpreter; nothing is installed and nothing is fetched. Each part has a time limit, and all of them
# together have GPU_CHECK_SECONDS (480). A part that fails or hangs does not keep the others from running, and results
# are written as they come. The exit code is 1 if a part failed. transformers and torchao are used where they are
# installed. Copy what is worth keeping to docs/results.
set -uo pipefail

cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
out="${1:?folder to write}"
device="${2:-cuda}"
shapes=("${@:3}")
((${#shapes[@]})) || shapes=(3b 7b)
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
mkdir -p "$out"
rm -f "$out/results.jsonl" "$out/ceilings.json" "$out/log.txt"
deadline=$((SECONDS + ${GPU_CHECK_SECONDS:-480}))
failed=0

part() {  # SECONDS NAME COMMAND...
  local limit=$1 name=$2 left=$((deadline - SECONDS)) code
  shift 2
  if ((left < 10)); then
    echo "NOT RUN: $name, the time is used up" | tee -a "$out/log.txt"
    failed=1
    return
  fi
  ((limit > left)) && limit=$left
  echo "== $name, at most $limit s" | tee -a "$out/log.txt"
  timeout -k 5 "$limit" "$@" 2>&1 | tee -a "$out/log.txt"
  code=${PIPESTATUS[0]}
  if ((code)); then
    echo "FAILED: $name, exit code $code (124 and 137: its time was used up)" | tee -a "$out/log.txt"
    failed=1
  fi
}

measure() {  # SECONDS PART SHAPE
  part "$1" "$2 $3" "$python" -W ignore -m benchmarks.gpu "$2" --device "$device" --shape "$3" --out "$out"
}

first=${shapes[0]}
measure 40 ceilings "$first"
if [[ $device == cuda* ]]; then
  # Only the files that hold such tests: others may need packages that are not there. Warnings are no failures here:
  # the versions of the machine are its own.
  mapfile -t files < <(grep -rlE --include='test_*.py' 'pytest\.mark\.gpu' tests)
  part 110 tests "$python" -m pytest -q -p no:cacheprovider -o filterwarnings=default -m gpu \
    --continue-on-collection-errors --durations=10 "${files[@]}"
fi
measure 100 network "$first"
measure 70 requests "$first"
for shape in "${shapes[@]:1}"; do measure 90 network "$shape"; done
measure 70 weights "$first"
measure 40 operations "$first"
if [[ $device == cuda* ]]; then
  part 40 windows "$python" -W ignore -m benchmarks windows --device "$device"
fi

echo "== results"
"$python" -m benchmarks.gpu summary --out "$out"
grep -E '^(FAILED|NOT RUN)' "$out/log.txt"
exit "$failed"
