#!/bin/sh
# Builds the static binary for this machine's architecture and puts it into the folder DIR as DIR/monasca-sidecar.
# The one recipe of the static build: deploy/Dockerfile, the image's test and you at a shell all call it.
#
#   deploy/build_static.sh DIR
set -eu
out=${1:?usage: deploy/build_static.sh DIR}

cd "$(dirname "$0")/.."
# --target is given although it is the host: RUSTFLAGS then leave build scripts and procedural macros alone, which
# cannot be linked statically.
triple=$(rustc --print host-tuple)
# Without debug information the binary is a fraction of the size; function names stay, for readable backtraces.
CARGO_PROFILE_RELEASE_DEBUG=0 \
CARGO_PROFILE_RELEASE_STRIP=debuginfo \
RUSTFLAGS="-C target-feature=+crt-static" \
  cargo build --release --locked --package monasca-sidecar --target "$triple"

mkdir -p "$out"
cp "${CARGO_TARGET_DIR:-target}/$triple/release/monasca-sidecar" "$out/monasca-sidecar"
