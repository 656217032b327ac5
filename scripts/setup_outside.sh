#!/bin/sh
# Sets up .outside (git ignores it) with the software of others that tests/conformance/test_outside_*
# runs against: a Python environment (requirements/outside.txt) and Go programs, built from their own
# modules as pinned in tests/conformance/go/go.mod and go.sum. Nothing outside that folder is touched.
# What cannot be had is said in one line, and those tests are skipped (with CI set they fail).
# Running it again costs a fraction of a second.
set -eu
cd "$(dirname "$0")/.."
say() { printf 'set-up: %s\n' "$*" >&2; }
without() { say "note: $*; the tests against software of others will be skipped"; exit 0; }
hash_of() { cat "$@" | cksum | tr ' ' -; }
outside=$PWD/.outside

find_python() {
    for candidate in "${PYTHON:-}" python3.14 python3.13 python3.12 python3 \
        "$(pyenv root 2>/dev/null || echo "$HOME/.pyenv")"/versions/3.1[2-9]*/bin/python3; do
        [ -n "$candidate" ] || continue
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1 && { echo "$candidate"; return; }
    done
    return 1
}

install_packages() {
    stamp=$outside/.installed-$(hash_of requirements/outside.txt)
    [ -e "$stamp" ] && return
    python=$(find_python) || without "no Python 3.12 or newer here (aics-tlog needs it); name one with PYTHON=..."
    say "installing the packages of requirements/outside.txt into .outside (pinned by hash)"
    rm -rf "$outside/venv" "$outside"/.installed-*
    mkdir -p "$outside"
    "$python" -m venv "$outside/venv" >"$outside/pip.log" 2>&1 || without "$python cannot make virtual environments"
    "$outside/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
        -r requirements/outside.txt >"$outside/pip.log" 2>&1 \
        || without "pip could not install requirements/outside.txt (pip's own words: .outside/pip.log)"
    : > "$stamp"
}

# torchwood's mpt is published with "//go:build ignore" on every file, as not finished; its two files
# that work in memory are copied from the verified module without that line, beside our own sources.
stage_sources() {
    rm -rf "$outside/src"
    mkdir -p "$outside/src/mpt"
    cp tests/conformance/go/* "$outside/src/"
    torchwood=$(cd "$outside/src" && "$go" mod download -json filippo.io/torchwood | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    for name in tree mem; do
        sed '/^\/\/go:build ignore$/d' "$torchwood/mpt/$name.go" >"$outside/src/mpt/$name.go"
    done
}

build_programs() {
    stamp=$outside/.built-$(hash_of tests/conformance/go/* scripts/setup_outside.sh requirements/outside.txt)
    [ -e "$stamp" ] && return
    say "building fsck, omniwitness, litewitness and our judge into .outside (Go; a minute or two the first time)"
    rm -f "$outside"/.built-*
    go=$outside/venv/bin/go
    export GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 GOFLAGS='-mod=readonly -modcacherw -buildvcs=false'
    export GOPATH="$outside/go" GOMODCACHE="${GOMODCACHE:-$outside/go/mod}" GOCACHE="${GOCACHE:-$outside/go/cache}"
    if stage_sources >"$outside/go.log" 2>&1 && (cd "$outside/src" && "$go" build -trimpath -o "$outside/bin/" . tool) >"$outside/go.log" 2>&1; then
        rm -rf "$outside/go" "$outside/src" # a gigabyte that only the next build would use
        : > "$stamp"
    else
        without "Go could not build tests/conformance/go: a module proxy must be reachable (its own words: .outside/go.log)"
    fi
}

install_packages
build_programs
