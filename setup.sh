#!/usr/bin/env bash
# Installs what the engine needs from Debian 12's own packages. Idempotent; seconds if nothing is missing.
# usage: ./setup.sh [build|test]    build: compile and run (default); test: also what the tests and benchmarks use
set -euo pipefail

build=(build-essential pkg-config meson ninja-build clang llvm bpftool libbpf-dev libxdp-dev libluajit-5.1-dev
       libhwloc-dev libpcap-dev libcap-dev libmnl-dev libjansson-dev nettle-dev libelf-dev zlib1g-dev linux-libc-dev iproute2 ethtool git)
test=(libgtest-dev libbenchmark-dev libabsl-dev libboost-dev libreaderwriterqueue-dev python3 python3-pytest python3-scapy tshark tcpdump jq
      clang-format clang-tidy libclang-rt-14-dev procps iputils-ping zstd chromium fonts-dejavu-core)
# What the report of the benchmarks embeds comes from npm, in the version and with the checksum of the lock file.
page=$(dirname "$0")/bench/reporting/page
fetch_page_parts() {
  [ "${1:-build}" = test ] || return 0
  [ -f "$page/node_modules/.package-lock.json" ] && [ ! "$page/package-lock.json" -nt "$page/node_modules/.package-lock.json" ] && return 0
  npm ci --prefix "$page" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null ||
    echo "setup.sh: npm did not get uPlot; bench/report makes no page without it" >&2
}

packages=("${build[@]}")
case ${1:-build} in
  build) ;;
  test) packages+=("${test[@]}"); command -v npm >/dev/null || packages+=(npm) ;;
  *) echo "setup.sh: '$1' is not known; use build or test" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then fetch_page_parts "$@"; exit 0; fi

if [ "$(id -u)" != 0 ]; then
  echo "setup.sh: these packages are missing: ${missing[*]}; run: sudo apt-get install ${missing[*]}" >&2
  exit 3
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null
fetch_page_parts "$@"
