# What the scripts beside it share. Sourced, never run; works from any directory.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root, and there is no sudo: $*"
    fi
}

apt_install() { # package...
    command -v apt-get >/dev/null || fail "please install with your package manager: $*"
    printf 'installing %s\n' "$*" >&2
    as_root apt-get update -qq >&2
    (
        # Debian starts the servers that it installs, unless a policy forbids it. We want their programs.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap 'as_root rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
            as_root chmod 755 "$policy"
        fi
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >&2 </dev/null
    )
}

# A Python that is new enough: $PYTHON if set, else the first found.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer found; install one, or name it: PYTHON=/path/to/python3 $0"
}

# Make .venv where there is none, and bring it up to date when what we depend on has changed. $1: extras, `test,check`.
prepare_venv() {
    local extras=$1 stamp=$venv/.installed-${1//,/-} wanted python
    wanted=$(cat "$root/pyproject.toml" "$root/requirements.lock" | sha256sum)
    if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then # absent, or its making was interrupted
        python=$(find_python)
        if ! "$python" -c 'import ensurepip' 2>/dev/null; then
            apt_install "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
        fi
        "$python" -m venv "$venv"
    fi
    printf 'installing into %s\n' "$venv" >&2
    "$venv/bin/python" -m pip install --quiet --quiet --disable-pip-version-check \
        --constraint "$root/requirements.lock" --editable "$root[$extras]" >&2
    printf '%s\n' "$wanted" >"$stamp"
}
