#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Trains an embedded model on a machine with an accelerator and without a network, in steps that each end in time.
#
# Where there is a network, once:
#   finesight data bundle BUNDLE             fonts, icons, words and photographs as one file
#   pip download ... -d WHEELS               what that machine's Python lacks
#   split -b 50M DECODER.gguf part-          for `small`, if files must be small
# On the machine, in the root of a checkout:
#   scripts/train-offline.sh wheels WHEELS   install wheels into runs/site
#   scripts/train-offline.sh check OUT       tests and benchmarks that need a CUDA device
#   scripts/train-offline.sh draw BUNDLE     start drawing the data sets of RECIPES; returns at once, drawing goes on
#   scripts/train-offline.sh decoder PART... join a GGUF file and import it as runs/accelerator/base
#   scripts/train-offline.sh stage NAME ...  train RECIPES/NAME.toml, by the clock of the recipe; further words are options of
#                                            `finesight train`, such as --export OUT
# Each step may be run again: drawing and training go on where they stopped. RECIPES is the folder of recipes
# (recipes/tiny/accelerator or recipes/small/accelerator), WORKERS the number of processes that draw.
set -euo pipefail

cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
recipes="${RECIPES:-recipes/tiny/accelerator}"
workers="${WORKERS:-$(nproc)}"
export PYTHONPATH="$PWD/src:$PWD/runs/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
work="runs/accelerator"
mkdir -p "$work"

finesight() { "$python" -W ignore -c 'import sys; from finesight.cli.main import main; sys.exit(main())' "$@"; }

sets=()
for recipe in "$recipes"/data_*.toml; do
    name="$(basename "$recipe" .toml)"
    sets+=("${name#data_}")
done

draw_all() {
    finesight data unbundle "$1" runs/assets
    for set in "${sets[@]}"; do
        finesight data build "$recipes/data_$set.toml" --out "$work/$set" --workers "$workers"
    done
}

wait_for_pictures() {  # the first shards are enough to begin with: a stage reads what is there when it starts
    for set in "${sets[@]}"; do
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
decoder)
    shift
    cat "${@:?parts of a GGUF file}" >"$work/decoder.gguf"
    rm -rf "$work/base"
    finesight import "$work/decoder.gguf" --tower tiny --max-pixels 602112 --out "$work/base"
    ;;
stage)
    name="${2:?name of a recipe}"
    shift 2
    wait_for_pictures
    finesight train "$recipes/$name.toml" "$@"
    ;;
*)
    sed -n '3,18p' "$0" >&2
    exit 2
    ;;
esac
