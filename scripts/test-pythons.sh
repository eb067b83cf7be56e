#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Run the quick tests with other versions of Python, each in an environment of its own: .venv-3.12, .venv-3.13.
#
#   scripts/test-pythons.sh [INTERPRETER...] [-- ARGUMENT_OF_PYTEST...]
#
# Without an interpreter: python3.12 and python3.13, as far as they are installed. The last lines say which were tried.
# Exit code 1: tests failed, an environment could not be made, or no interpreter was found.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

interpreters=()
while (($#)) && [[ $1 != -- ]]; do
  interpreters+=("$1")
  shift
done
shift $(($# > 0))
((${#interpreters[@]})) || interpreters=(python3.12 python3.13)
quick='not slow and not gpu and not interop and not fuzz and not real_data'
torch=$(grep -E '^torch==' constraints.txt)
torchvision=$(grep -E '^torchvision==' constraints.txt)

environment() {  # INTERPRETER FOLDER: make it, or bring it up to date
  [[ $2/ready -nt pyproject.toml && $2/ready -nt constraints.txt ]] && return
  "$1" -m venv "$2" &&
    "$2/bin/python" -m pip --disable-pip-version-check install "$torch" &&
    "$2/bin/python" -m pip --disable-pip-version-check install -c constraints.txt -e '.[test,data,eval,web]' &&
    "$2/bin/python" -m pip --disable-pip-version-check install --no-deps "$torchvision" &&
    touch "$2/ready"
}

outcomes=() failures=0 tried=0
for interpreter in "${interpreters[@]}"; do
  version=$("$interpreter" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
  if [[ -z $version ]]; then
    outcomes+=("$interpreter: not installed, NOT TRIED")
    continue
  fi
  tried=$((tried + 1))
  if ! environment "$interpreter" ".venv-$version"; then
    outcome="the environment could not be made"
  elif OMP_NUM_THREADS=1 ".venv-$version/bin/python" -m pytest -n auto --dist loadfile -q -m "$quick" "$@"; then
    outcomes+=("Python $version: passed")
    continue
  else
    outcome="tests failed"
  fi
  outcomes+=("Python $version: $outcome")
  failures=$((failures + 1))
done

printf '%s\n' "${outcomes[@]}"
((tried)) || echo "no interpreter was found; name one: scripts/test-pythons.sh /path/to/python3.12"
((tried && !failures))
