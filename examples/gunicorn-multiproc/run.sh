#!/bin/sh
# Installs the example into .venv beside this file and runs it with a sidecar; ends with the application.
# BIND: where the application listens. PROMETHEUS_MULTIPROC_DIR: an empty directory, else one is made and removed at the
# end. The sidecar is MONASCA_SIDECAR_BIN, a build in this repository, or one of the PATH.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=${VENV:-$here/.venv}

if [ ! -x "$venv/bin/gunicorn" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r "$here/requirements.txt"
fi

find_sidecar() {
    for candidate in "${MONASCA_SIDECAR_BIN:-}" "$root/target/release/monasca-sidecar" "$root/target/debug/monasca-sidecar"; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            echo "$candidate"
            return
        fi
    done
    command -v monasca-sidecar || {
        echo "run.sh: no monasca-sidecar found; build it (cargo build --release) or set MONASCA_SIDECAR_BIN" >&2
        exit 1
    }
}

sidecar=
gunicorn=
made=
stop() {
    trap - EXIT
    # Once begun it goes to its end, also when the key is pressed again.
    trap '' INT TERM
    if [ -n "$gunicorn" ]; then kill "$gunicorn" 2>/dev/null || true; wait "$gunicorn" || true; fi
    if [ -n "$sidecar" ]; then kill "$sidecar" 2>/dev/null || true; wait "$sidecar" || true; fi
    if [ -n "$made" ]; then rm -rf "$made"; fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "${PROMETHEUS_MULTIPROC_DIR:-}" ]; then
    made=$(mktemp -d)
    PROMETHEUS_MULTIPROC_DIR=$made
fi
export PROMETHEUS_MULTIPROC_DIR

binary=$(find_sidecar)
"$binary" --multiproc-dir "$PROMETHEUS_MULTIPROC_DIR" &
sidecar=$!

cd "$here"
"$venv/bin/gunicorn" -c gunicorn.conf.py app:app &
gunicorn=$!
wait "$gunicorn"
