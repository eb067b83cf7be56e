#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Trains the embedded model on a machine with an accelerator and without a network, in steps that each end in time.
#
# Where there is a network, once:
#   finesight data bundle BUNDLE             fonts, icons and words as one file
#   pip download ... -d WHEELS               what that machine's Python lacks
# On the machine, in the root of a checkout:
#   scripts/train-offline.sh wheels WHEELS   install wheels into runs/site
#   scripts/train-offline.sh check OUT       tests and benchmarks that need a CUDA device
#   scripts/train-offline.sh draw BUNDLE     start drawing the pictures; returns at once, drawing goes on
#   scripts/train-offline.sh visual          first stage, by the clock of its recipe
#   scripts/train-offline.sh multimodal OUT  second stage; writes the model folder OUT, shards under 15 MiB
# Each step may be run again: drawing and training go on where they stopped. RECIPES names another folder of recipes,
# WORKERS the processes that draw.
set -euo pipefail

cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
recipes="${RECIPES:-recipes/tiny/accelerator}"
workers="${WORKERS:-$(nproc)}"
export PYTHONPATH="$PWD/src:$PWD/runs/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
work="runs/accelerator"
mkdir -p "$work"

finesight() { "$python" -W ignore -c 'import sys; from finesight.cli.main import main; sys.exit(main())' "$@"; }

draw_all() {
    finesight data unbundle "$1" runs/assets
    for set in sheets scenes text; do
        finesight data build "$recipes/data_$set.toml" --out "$work/$set" --workers "$workers"
    done
}

wait_for_pictures() {  # the first shards are enough to begin with: a stage reads what is there when it starts
    for set in sheets scenes text; do
        for _ in $(seq 120); do
            compgen -G "$work/$set/*.tar" >/dev/null && break
            sleep 2
        done
        echo "$set: $(find "$work/$set" -name '*.tar' | wc -l) shards"
    done
}

case "${1:-}" in
wheels)
    "$python" -m pip install -q --no-index --no-deps --no-compile --upgrade --target runs/site "${2:?folder of wheels}"/*.whl
    ;;
check)
    PYTHON="$python" scripts/gpu-check.sh "${2:?folder to write}"
    ;;
draw)
    bundle="${2:?bundle}"
    setsid nohup bash "$0" draw-now "$bundle" >"$work/draw.log" 2>&1 </dev/null &
    ;;
draw-now)
    draw_all "${2:?bundle}"
    ;;
visual)
    wait_for_pictures
    finesight train "$recipes/1_visual.toml"
    ;;
multimodal)
    wait_for_pictures
    finesight train "$recipes/2_multimodal.toml" --export "${2:?folder to write}"
    ;;
*)
    sed -n '3,17p' "$0" >&2
    exit 2
    ;;
esac
