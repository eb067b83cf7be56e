#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Install the few Debian packages that pip cannot bring, and only those that are missing.
#
#   scripts/install-system-packages.sh venv    the module `venv`, which Debian splits from Python
#   scripts/install-system-packages.sh test    a known font for the pictures that tests draw, and programs for a desktop
#   scripts/install-system-packages.sh web     Chromium, the screen of live tasks and agents, and the font that pages ask for
#   scripts/install-system-packages.sh screens a desktop in memory: display, window manager, mouse and keyboard, sandbox,
#                                              accessibility tree
set -euo pipefail

case "${1:-}" in
    venv) packages=(python3-venv) ;;
    test) packages=(fonts-dejavu-core galculator mousepad x11-utils) ;;
    web) packages=(chromium fonts-liberation) ;;
    screens)
        packages=(xvfb openbox xdotool x11-xserver-utils bubblewrap dbus at-spi2-core gir1.2-atspi-2.0 python3-gi)
        ;;
    *)
        echo "usage: $0 venv|test|web|screens" >&2
        exit 2
        ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "system packages: this is not Debian; install the equivalent of: ${packages[*]}"
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
    echo "system packages: ${packages[*]} already installed"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "system packages: ${missing[*]} missing, and neither root nor sudo at hand; run as an administrator:" >&2
        echo "  apt-get install -y --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo -n)
fi

echo "system packages: installing ${missing[*]}"
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends)
# The package lists of a fresh machine may be empty or old: fetch them once and try again.
"${install[@]}" "${missing[@]}" || { "${as_root[@]}" apt-get update && "${install[@]}" "${missing[@]}"; }
