#!/bin/sh
# From a fresh Debian or Ubuntu to a virtual environment that runs nengliu.
#
#   sh deploy/bootstrap.sh [--dev] [-- COMMAND [ARGUMENT…]]
#
# Finds Python >= 3.11, or installs what is missing by apt-get (as root or by sudo), makes .venv from the hash-pinned
# lock files, then runs COMMAND inside. A second run only compares a stamp. --dev adds the tools of `make test`.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd -P)
kind=run
if [ "${1:-}" = --dev ]; then
    kind=dev
    shift
fi
if [ "${1:-}" = -- ]; then shift; fi

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "nengliu: $*"
    exit 1
}

# ---------------------------------------------------------------- what the machine must have

is_usable_python() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${NENGLIU_PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
        if command -v "$candidate" >/dev/null 2>&1 && is_usable_python "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
}

missing_packages() {
    python=$(find_python)
    [ -n "$python" ] || printf 'python3 python3-venv '
    command -v setpriv >/dev/null 2>&1 && command -v unshare >/dev/null 2>&1 || printf 'util-linux '
    # PostgreSQL reads time zones, and apt, pip and Maven read certificates, from the machine.
    [ -e /usr/share/zoneinfo/Asia/Shanghai ] || printf 'tzdata '
    [ -e /etc/ssl/certs/ca-certificates.crt ] || printf 'ca-certificates '
}

install_packages() {
    command -v apt-get >/dev/null 2>&1 || fail "this machine lacks: $*; install them (there is no apt-get here)"
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "run as root: apt-get install $*"
        as_root=sudo
        [ -t 0 ] || sudo -n true 2>/dev/null || fail "run first: sudo apt-get install $*"
    fi
    say "… this machine lacks $*: ${as_root:+by sudo }apt-get update && apt-get install $*"
    # shellcheck disable=SC2086 # as_root may be empty
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2 ||
        say "apt-get update failed; going on with the lists that are there"
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2 </dev/null ||
        fail "apt-get could not install $*; is the network there?"
}

# ---------------------------------------------------------------- the virtual environment

place_of_venv() {
    if [ -n "${NENGLIU_VENV:-}" ]; then
        printf '%s' "$NENGLIU_VENV"
    elif [ -w "$root" ] || [ -d "$root/.venv" ]; then
        printf '%s' "$root/.venv"
    else
        # A checkout of somebody else's that we may only read.
        printf '%s' "${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/nengliu/venv-$(printf '%s' "$root" | cksum | tr ' ' -)"
    fi
}

stamp_of() {
    [ "$1" = dev ] && lock=requirements-dev.lock || lock=requirements.lock
    (cd "$root" && cat "$lock" requirements-build.lock pyproject.toml deploy/bootstrap.sh && printf '%s' "$root") | cksum
}

is_current() {
    [ -x "$venv/bin/python" ] && [ "$(cat "$venv/stamp.$kind" 2>/dev/null)" = "$(stamp_of "$kind")" ] &&
        "$venv/bin/python" -c '' 2>/dev/null
}

# Shows how far pip is: it names each package once when it gets it.
pip_progress() {
    total=$1
    if [ -t 2 ]; then end='\r'; else end='\n'; fi
    awk -v total="$total" -v end="$end" -v live="$end" '
        /^Collecting / { n++; split($2, part, "==")
            if (live != "\n") printf "\033[K  … %d/%d %s\r", n, total, part[1] > "/dev/stderr"
            else if (n % 20 == 0) printf "  … %d/%d packages\n", n, total > "/dev/stderr" }
        /^Installing collected/ { if (live != "\n") printf "\033[K  … unpacking %d packages\r", n > "/dev/stderr" }
        /^ERROR|^error/ { print > "/dev/stderr" }
        END { if (live != "\n") printf "\033[K" > "/dev/stderr" }'
}

pip_install() {
    count=$(grep -c '==' "$root/$1")
    {
        "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --no-compile --progress-bar off \
            --require-hashes --no-deps -r "$root/$1" 2>&1 || echo "pip failed" >"$venv/failed"
    } </dev/null | tee "$venv/pip.log" | pip_progress "$count"
    [ ! -e "$venv/failed" ] || fail "pip could not install $1: $(grep -i -e error -e 'no module' "$venv/pip.log" | tail -n 3)
Is the network there? The whole of what pip said: $venv/pip.log"
}

make_venv() {
    started=$(date +%s)
    lacking=$(missing_packages)
    # shellcheck disable=SC2086 # a list of words
    [ -z "$lacking" ] || install_packages $lacking
    python=$(find_python)
    [ -n "$python" ] || fail "no Python >= 3.11 with venv on this machine or in its packages (Debian 12, Ubuntu 24.04 \
and newer have one); set NENGLIU_PYTHON to one"
    say "… Python environment in $venv ($("$python" --version))"
    if ! "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        "$python" -m venv --clear "$venv" >&2 ||
            fail "cannot make $venv; is the disk full, may the folder be written?"
    fi
    rm -f "$venv/failed" "$venv"/stamp.*
    pip_install requirements-build.lock
    if [ "$kind" = dev ]; then pip_install requirements-dev.lock; else pip_install requirements.lock; fi
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input -q --no-deps --no-build-isolation \
        --no-index -e "$root" </dev/null >"$venv/pip.log" 2>&1 || fail "cannot install nengliu: $(tail -n 5 "$venv/pip.log")"
    stamp_of run >"$venv/stamp.run"
    if [ "$kind" = dev ]; then stamp_of dev >"$venv/stamp.dev"; fi
    say "  ✓ Python environment  $(($(date +%s) - started)) s"
}

venv=$(place_of_venv)
if ! is_current; then
    # Others (PostgreSQL's user, when root runs it) must be able to read programs, whatever the caller's umask.
    mask=$(umask)
    umask 022
    mkdir -p "$venv" 2>/dev/null && [ -w "$venv" ] ||
        fail "$venv may not be written by $(id -un): set NENGLIU_VENV to a folder of your own"
    # One at a time; who waited finds it done.
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$venv.lock"
        flock 9
        is_current || make_venv
        exec 9>&-
        rm -f "$venv.lock"
    else
        make_venv
    fi
    umask "$mask"
fi

[ $# -gt 0 ] || exit 0
PATH="$venv/bin:$PATH"
export PATH
exec "$@"
