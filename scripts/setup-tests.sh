#!/usr/bin/env bash
# Installs what the tests need and is missing, into .cache (and, with apt, buildah, Go and Python's venv module).
# For Debian 12 with Rust, Python 3 and Node; needs root only for what apt must install. Running it again is
# fast: each part leaves a stamp that names what it was made from, and a part whose stamp fits is left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache="$PWD/.cache"
stamps="$cache/stamps"
# Versions of prometheus_client: those whose parser a Monasca agent may read the page with (an old one, and the newest),
# and one for each way to write the files of the multiprocess mode.
parsers=(0.0.19 0.14.1 0.17.1 0.18.0 0.20.0 0.26.0)
declare -A package_of=([cc]=build-essential [buildah]=buildah [curl]=curl [openssl]=openssl)
apt_updated=no
failed=no

fail() {
    printf 'setup-tests: %s\n' "$*" >&2
    exit 1
}

say() { printf 'setup-tests: %s\n' "$*"; }

# Runs a command quietly; its output is shown when it fails.
quietly() {
    local what=$1 log="$cache/setup-$BASHPID.log"
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        rm -f "$log"
        fail "cannot $what (command: $*)"
    fi
    rm -f "$log"
}

stamped() { [[ -f "$stamps/$1" && "$(cat "$stamps/$1")" == "$2" ]]; }
stamp() { printf '%s' "$2" >"$stamps/$1"; }
digest() { cat "$@" | sha256sum | cut -d' ' -f1; }

need() { command -v "$1" >/dev/null || fail "$1 is missing: $2"; }

# A fresh machine has no package lists, an old one stale lists: fetch them once, only when apt is needed.
apt_update() {
    [[ $apt_updated == yes ]] && return
    need apt-get "these tests fetch Debian packages"
    quietly "fetch Debian's package lists" apt-get update
    apt_updated=yes
}

apt_install() {
    [[ $(id -u) == 0 ]] || fail "$* must be installed by root: apt-get install --no-install-recommends $*"
    apt_update
    say "installing $*"
    quietly "install $*" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends "$@"
}

# A venv of the given name with the pinned requirements of one file and nothing else.
python_venv() {
    local name=$1 requirements=$2 made_from
    made_from="$(python3 --version) $(digest "$requirements")"
    stamped "$name" "$made_from" && [[ -x "$cache/$name/bin/python" ]] && return
    say "making .cache/$name"
    rm -rf "${cache:?}/$name"
    quietly "make the venv $name" python3 -m venv "$cache/$name"
    quietly "install $requirements" "$cache/$name/bin/pip" install --disable-pip-version-check \
        --no-deps --requirement "$requirements"
    stamp "$name" "$made_from"
}

# The Python client with what its own tests need, uWSGI among it, which is compiled. The client itself is
# installed editable, so that the tests always run the source as it is.
python_client() {
    local requirements=clients/python/tests/requirements.txt made_from
    made_from="$PWD $(cat "$stamps/venv") $(digest clients/python/pyproject.toml "$requirements")"
    stamped client "$made_from" && return
    say "installing clients/python and what its tests need"
    quietly "install $requirements" "$cache/venv/bin/pip" install --disable-pip-version-check \
        --requirement "$requirements"
    quietly "install clients/python" "$cache/venv/bin/pip" install --disable-pip-version-check \
        --no-deps --no-build-isolation --editable clients/python
    stamp client "$made_from"
}

has_python_headers() {
    python3 -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

python_parser() {
    local version=$1 folder="$cache/parsers/$1"
    stamped "parser-$version" "$version" && [[ -d "$folder/prometheus_client" ]] && return
    say "fetching prometheus_client $version"
    rm -rf "$folder"
    quietly "fetch prometheus_client $version" "$cache/venv/bin/pip" install --disable-pip-version-check \
        --no-deps --target "$folder" "prometheus_client==$version"
    stamp "parser-$version" "$version"
}

# As root, apt drops its rights for the download and would complain about the folder.
download_into() { (cd "$1" && apt-get download -o APT::Sandbox::User=root "$2"); }

# Debian's prometheus, promtool and prometheus-pushgateway, unpacked and not installed: so that no service starts.
debian_package() {
    local package=$1 program=$2
    [[ -x "$cache/debian/usr/bin/$program" ]] && return
    need dpkg "these tests unpack Debian packages"
    say "fetching Debian's $package"
    local download="$cache/download"
    rm -rf "$download"
    mkdir -p "$download" "$cache/debian"
    # The lists are fetched only when the first try shows that they are missing or stale.
    download_into "$download" "$package" >/dev/null 2>&1 || apt_update
    [[ -n "$(ls -A "$download")" ]] ||
        quietly "fetch the Debian package $package" download_into "$download" "$package"
    quietly "unpack the Debian package $package" dpkg -x "$download/${package}"_*.deb "$cache/debian"
    rm -rf "$download"
    "$cache/debian/usr/bin/$program" --version >/dev/null 2>&1 || fail "the unpacked $program does not run"
}

debian_packages() {
    debian_package prometheus promtool
    debian_package prometheus-pushgateway prometheus-pushgateway
}

node_packages() {
    local made_from
    made_from="$(node --version) $(digest tests/node/package-lock.json)"
    stamped node "$made_from" && [[ -d "$cache/node/node_modules/prom-client" ]] && return
    say "installing tests/node"
    rm -rf "$cache/node"
    mkdir -p "$cache/node"
    cp tests/node/package.json tests/node/package-lock.json "$cache/node/"
    quietly "install tests/node" npm ci --prefix "$cache/node" --no-audit --no-fund --ignore-scripts
    stamp node "$made_from"
}

mkdir -p "$stamps"
need cargo "install Rust (rust-toolchain.toml names the version)"
need python3 "install Python 3.9 or later"
need node "install Node 16 or later"
need npm "it comes with Node"
python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
has_python_headers || apt_install python3-dev
for tool in cc buildah curl openssl; do
    command -v "$tool" >/dev/null || apt_install "${package_of[$tool]}"
done
# Go's client of Prometheus as Debian has it, and the compiler for the program that pushes with it.
[[ -d /usr/share/gocode/src/github.com/prometheus/client_golang/prometheus/push ]] && command -v go >/dev/null ||
    apt_install golang-go golang-github-prometheus-client-golang-dev

# Most of the time goes into waiting for downloads, so the independent parts run at once. Nothing but
# `debian_packages` uses apt from here on.
parts=()
python_venv agent tests/requirements-agent.txt & parts+=($!)
debian_packages & parts+=($!)
node_packages & parts+=($!)
python_venv venv tests/requirements.txt
python_client
for version in "${parsers[@]}"; do python_parser "$version"; done
for part in "${parts[@]}"; do wait "$part" || failed=yes; done
[[ $failed == no ]] || fail "not everything is there, see above"
say "everything is there"
