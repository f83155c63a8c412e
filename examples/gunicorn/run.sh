#!/bin/sh
# Installs the example into .venv beside this file and runs it; ends with the application.
# BIND: where the application listens. MONASCA_SIDECAR_URL: a sidecar that runs already; without it one is started
# from MONASCA_SIDECAR_BIN, a build in this repository, or the PATH.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=${VENV:-$here/.venv}

if [ ! -x "$venv/bin/monasca-sidecar-run" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r "$here/requirements.txt" "$root/clients/python"
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
stop() {
    trap - EXIT INT TERM
    # First the application: its workers' last values go to the sidecar.
    if [ -n "$gunicorn" ]; then kill "$gunicorn" 2>/dev/null || true; wait "$gunicorn" || true; fi
    if [ -n "$sidecar" ]; then kill "$sidecar" 2>/dev/null || true; wait "$sidecar" || true; fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "${MONASCA_SIDECAR_URL:-}" ]; then
    binary=$(find_sidecar)
    "$binary" &
    sidecar=$!
fi

cd "$here"
"$venv/bin/monasca-sidecar-run" "$venv/bin/gunicorn" -c gunicorn.conf.py app:app &
gunicorn=$!
wait "$gunicorn"
