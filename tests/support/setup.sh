#!/bin/sh
# Creates the virtual environment from the lock file. A base image may lack ensurepip
# (Debian keeps it in python3-venv), so the environment is then filled by the outer pip.
set -eu
if [ ! -x "$VENV/bin/python" ]; then
  "$PYTHON" -m venv "$VENV" 2>/dev/null || { rm -rf "$VENV"; "$PYTHON" -m venv --without-pip "$VENV"; }
fi
if "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
  pip() { "$VENV/bin/python" -m pip "$@"; }
else
  pip() { "$PYTHON" -m pip --python "$VENV/bin/python" "$@"; }
fi
pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
