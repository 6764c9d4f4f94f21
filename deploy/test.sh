#!/bin/sh
# What `make test` and CI run, inside the development environment: style, types, rooms, then all tests.
set -eu
cd "$(dirname "$0")/.."

# A checkout that may only be read: caches go elsewhere.
if [ ! -w . ]; then
    caches=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/nengliu
    mkdir -p "$caches"
    export PYTHONDONTWRITEBYTECODE=1 MYPY_CACHE_DIR="$caches/mypy" RUFF_CACHE_DIR="$caches/ruff"
    export HYPOTHESIS_STORAGE_DIRECTORY="$caches/hypothesis"
    PYTEST_ADDOPTS="${PYTEST_ADDOPTS:-} -o cache_dir=$caches/pytest"
    export PYTEST_ADDOPTS
    imports_cache="--cache-dir $caches/imports"
fi

step() {
    name=$1
    shift
    started=$(date +%s)
    printf '… %s\n' "$name" >&2
    "$@" </dev/null
    printf '  ✓ %s  %s s\n' "$name" "$(($(date +%s) - started))" >&2
}

step "style (ruff)" ruff check -q .
step "format (ruff)" ruff format -q --check .
step "types (mypy)" mypy --no-error-summary
# shellcheck disable=SC2086 # two words or none
step "rooms (import-linter)" lint-imports ${imports_cache:-} >/dev/null
# Three at a time, each with servers of its own: much of their time is waiting for servers and commands to start and stop.
step "tests (pytest)" pytest -q -n "${TEST_WORKERS:-3}" --dist loadfile "$@"
