#!/bin/sh
# Creates the virtual environment $VENV from requirements.lock (every package by hash) and puts
# the spingate command into it. May be interrupted and run again.
#
# Debian keeps ensurepip in python3-venv, which a base image lacks: the environment is then
# made without pip, and filled by the pip outside of it.
set -eu
: "${PYTHON:=python3}" "${VENV:=.venv}"

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

command -v "$PYTHON" >/dev/null 2>&1 ||
  fail "there is no $PYTHON; Python 3.11 or newer is needed (Debian 12: apt-get install python3 python3-pip)"
version=$("$PYTHON" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])') ||
  fail "$PYTHON does not run"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$PYTHON is Python $version; 3.11 or newer is needed, such as: make PYTHON=/path/to/python3.11 setup"

is_usable() {
  "$VENV/bin/python" -c \
    'import sys; sys.exit(sys.version_info < (3, 11) or sys.prefix == sys.base_prefix)' \
    >/dev/null 2>&1
}

has_pip() { "$1" -m pip --version >/dev/null 2>&1; }

if ! is_usable; then
  say "creating $VENV with Python $version"
  rm -rf "$VENV"
  "$PYTHON" -m venv "$VENV" >/dev/null 2>&1 && has_pip "$VENV/bin/python" || {
    rm -rf "$VENV"
    "$PYTHON" -m venv --without-pip "$VENV" ||
      fail "$PYTHON cannot make a virtual environment (Debian: apt-get install python3-venv)"
  }
fi

if has_pip "$VENV/bin/python"; then
  pip() { "$VENV/bin/python" -m pip "$@"; }
elif has_pip "$PYTHON"; then
  pip() { "$PYTHON" -m pip --python "$VENV/bin/python" "$@"; }
else
  fail "there is no pip for $PYTHON (Debian: apt-get install python3-pip)"
fi

# Run pip in the background and count what it has come to, so that minutes do not look dead.
log="$VENV/setup.log"
install_quietly() {
  what=$1
  total=$2
  shift 2
  pip --disable-pip-version-check --no-input install "$@" >"$log" 2>&1 &
  worker=$!
  trap 'kill "$worker" 2>/dev/null; printf "\nsetup: interrupted; run it again to go on\n" >&2; exit 130' INT TERM
  shown=0
  unpacking=no
  while kill -0 "$worker" 2>/dev/null; do
    sleep 1
    done_now=$(grep -c -E '^(Collecting|Requirement already satisfied)' "$log" 2>/dev/null || true)
    if [ "$total" -gt 0 ] && [ "${done_now:-0}" -ge $((shown + 20)) ]; then
      shown=$done_now
      say "$what: $done_now of $total found"
    fi
    if [ "$unpacking" = no ] && grep -q '^Installing collected packages' "$log" 2>/dev/null; then
      unpacking=yes
      say "$what: unpacking"
    fi
  done
  trap - INT TERM
  wait "$worker" || {
    tail -n 15 "$log" >&2
    fail "$what failed; pip said the above (all of it: $log)"
  }
}

packages=$(grep -c '^[a-zA-Z0-9]' requirements.lock)
say "installing $packages packages from requirements.lock (a minute or two the first time)"
install_quietly "packages" "$packages" --require-hashes -r requirements.lock
install_quietly "spingate itself" 0 --no-deps --no-build-isolation --editable .
"$VENV/bin/spingate" --help >/dev/null || fail "$VENV/bin/spingate does not run"
say "ready: $VENV/bin/spingate"
