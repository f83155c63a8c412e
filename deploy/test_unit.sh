#!/usr/bin/env bash
# Checks the systemd unit: every key is known, and it is as closed as promised (systemd's own exposure level, 0 to 10).
#
#   deploy/test_unit.sh
set -euo pipefail
unit=$(dirname "$0")/systemd/monasca-sidecar.service
# Level 1.4 of systemd 252. What is left is what an HTTP server needs: sockets and the host's network.
threshold=15 # tenths

if ! command -v systemd-analyze >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# verify wants the program to be there; which program it is does not matter to it.
checked() { # UNIT-TEXT on standard input: prints what is wrong with it
  sed "s#^ExecStart=/usr/local/bin/monasca-sidecar#ExecStart=/bin/true#" >"$folder/monasca-sidecar.service"
  # An unknown key is only a warning to it (exit 0), so what it prints is what counts.
  systemd-analyze verify "$folder/monasca-sidecar.service" 2>&1 || true
}

failed() { printf 'FAILED: %s\n\n0 passed, 1 failed\n' "$1"; exit 1; }

misspelt=$(sed 's/^NoNewPrivileges/NoNewPriviledges/' "$unit" | checked)
[[ $misspelt == *NoNewPriviledges* ]] || failed "a misspelt key is reported; seen: $misspelt"
complaints=$(checked <"$unit")
[[ -z $complaints ]] || failed "the unit is valid; seen: $complaints"
systemd-analyze security --offline=true --threshold=$threshold --no-pager "$folder/monasca-sidecar.service" \
  >"$folder/report" || failed "exposure is at most $threshold tenths; seen: $(grep -v '^✓' "$folder/report")"
tail -n 1 "$folder/report"
printf '\n1 passed, 0 failed\n'
