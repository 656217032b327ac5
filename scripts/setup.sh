#!/bin/sh
# Sets up .venv for running ("run") or for testing ("test"): nothing outside this folder is touched,
# except that the tests' browser, strace and iproute2 are installed through apt when we are root and they are missing.
# Says in one line what is missing when it cannot go on. Running it again costs a fraction of a second.
set -eu
cd "$(dirname "$0")/.."
mode=${1:-run}
say() { printf 'set-up: %s\n' "$*" >&2; }
stop() { say "$*"; exit 1; }
as_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }
apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -qq "$@" >/dev/null 2>&1 || { apt-get update -qq >/dev/null 2>&1 && apt-get install -y -qq "$@" >/dev/null 2>&1; }
}

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] || continue
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$candidate"; return; }
    done
    return 1
}

make_environment() {
    [ -x .venv/bin/python ] && .venv/bin/python -c 'import pip' >/dev/null 2>&1 && return
    python=$(find_python) || stop "Python 3.11 or newer is needed (found: $(python3 --version 2>&1 || true)); on Debian or Ubuntu: apt install python3 python3-venv, or name one with PYTHON=..."
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 && return
    rm -rf .venv
    if as_root; then say "installing python3-venv"; apt_install python3-venv || true; fi
    "$python" -m venv .venv >/dev/null 2>&1 || { rm -rf .venv; stop "$python cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv"; }
}

# The stamp is the hash of what it stands for: a changed lock file installs again, an unchanged one does not.
stamp_of() { cat "requirements/$1.txt" pyproject.toml | .venv/bin/python -c 'import hashlib,sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])'; }

install_packages() {
    stamp=".venv/.installed-$1-$(stamp_of "$1")"
    [ -e "$stamp" ] && return
    say "installing the packages of requirements/$1.txt (pinned by hash)"
    log=.venv/pip.log
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "requirements/$1.txt" >"$log" 2>&1 \
        || stop "pip could not install requirements/$1.txt: a package index must be reachable (pip's own words: $log)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . >"$log" 2>&1 \
        || stop "pip could not install this project into .venv (pip's own words: $log)"
    rm -f .venv/.installed-"$1"-*
    : > "$stamp"
}

# Browsers without Ed25519, and every page on plain http, need this small library; without Node the page
# says "checked by the server only", so its absence is a note and not an error. For testing, the contract's
# compiler and an EVM node come along (devDependencies).
install_from_npm() {
    complete=static/vendor/noble/.complete omit=--omit=dev
    [ "$1" = test ] && complete=node_modules/.complete-with-dev omit=
    [ -e static/vendor/noble/.complete ] && [ -e "$complete" ] && [ "$complete" -nt package-lock.json ] && return
    if ! command -v npm >/dev/null 2>&1; then
        say "note: no npm here, so pages opened over plain http will say 'checked by the server only' (apt install npm, then make setup)"
        return
    fi
    if npm ci $omit --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null 2>&1 && .venv/bin/python scripts/vendor_noble.py; then
        : > static/vendor/noble/.complete
        : > "$complete"
    else
        say "note: npm could not install @noble/ed25519; pages opened over plain http will say 'checked by the server only'"
    fi
}

browser() {
    for candidate in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        [ -n "$candidate" ] && "$candidate" --version >/dev/null 2>&1 && { command -v "$candidate"; return; }
    done
    return 1
}

install_browser() {
    browser >/dev/null && return
    as_root && { say "installing chromium with apt (for the browser tests)"; apt_install chromium fonts-noto-cjk || true; }
    browser >/dev/null || stop "the tests need Chromium: Debian: apt install chromium; Ubuntu: snap install chromium; or name one with CHROMIUM=..."
}

# Without it the tests of system calls are skipped (they fail where CI is set), and all others run.
install_strace() {
    command -v strace >/dev/null 2>&1 && return
    as_root && { say "installing strace with apt (for the tests of failing system calls)"; apt_install strace || true; }
    command -v strace >/dev/null 2>&1 || say "note: no strace here, so the tests of failing system calls are skipped (apt install strace)"
}

# Without it the test of several machines is skipped, and all others run.
install_ip() {
    command -v ip >/dev/null 2>&1 && return
    as_root && { say "installing iproute2 with apt (for the test of several machines)"; apt_install iproute2 || true; }
    command -v ip >/dev/null 2>&1 || say "note: no ip here, so the test of several machines is skipped (apt install iproute2)"
}

make_environment
case $mode in
    run) [ -n "$(find .venv -maxdepth 1 -name ".installed-test-$(stamp_of test)" 2>/dev/null)" ] || install_packages run; install_from_npm run ;;
    test) install_packages test; install_from_npm test; install_browser; install_strace; install_ip; sh scripts/setup_outside.sh ;;
    *) stop "unknown mode '$mode': expected run or test" ;;
esac
