#!/usr/bin/env bash
# Makes .venv from requirements.lock: `make setup` calls this when the lock or this file is newer.
# Needs Python 3.11 and nothing else; PYTHON=... names another interpreter to start from.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=.venv
needed_mb=2500 # of which about 1300 stay

say() { printf '==> %s\n' "$*"; }
stop() {
  printf '\nSet-up stopped: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
  exit 1
}

is_311() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3 python; do
    if is_311 "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  stop "Python 3.11 was not found (python3 is: $(python3 --version 2>/dev/null || echo absent))." \
    "Debian 12:  apt install python3.11 python3.11-venv" \
    "macOS:      brew install python@3.11" \
    "elsewhere:  uv python install 3.11" \
    "or name one: make setup PYTHON=/path/to/python3.11"
}

free_mb() { df -Pm . | awk 'NR == 2 { print $4 }'; }

check_space() {
  local free
  free=$(free_mb)
  [ "$free" -ge "$needed_mb" ] || stop "the disk of $PWD has ${free} MB free; about $needed_mb MB are needed."
}

# Debian keeps the part of venv that brings pip in a package of its own.
ensure_venv_module() {
  local python=$1
  "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    say "Installing python3.11-venv"
    if apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y python3.11-venv; then
      return
    fi
  fi
  stop "this Python cannot make virtual environments ($python has no ensurepip)." \
    "Debian, Ubuntu:  sudo apt install python3.11-venv     then again: make setup"
}

make_venv() {
  if [ -e "$venv" ]; then
    if is_311 "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
      return
    fi
    if [ -f "$venv/pyvenv.cfg" ]; then
      rm -rf "$venv"
    else
      rmdir "$venv" 2>/dev/null || stop "$PWD/$venv exists and is no virtual environment."
    fi
  fi
  local python
  python=$(find_python)
  check_space
  ensure_venv_module "$python"
  say "Making $venv with $python ($("$python" --version))"
  "$python" -m venv "$venv"
}

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

# The lock's own uv does in seconds what pip does in half a minute. It does not read pip's
# configuration (mirrors, certificates, proxies of this machine), so pip has the last word. The lock
# is complete: nothing beside it is resolved (--no-deps).
install_with_uv() {
  local wanted uv_lock="$venv/uv.lock.txt"
  wanted=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock)
  if ! [ "$("$venv/bin/uv" --version 2>/dev/null | cut -d' ' -f2)" = "$wanted" ]; then
    awk '/^[^ #]/ { on = /^uv==/ } on && !/#/' requirements.lock >"$uv_lock"
    pip install --root-user-action=ignore -q --require-hashes -r "$uv_lock" || return 1
  fi
  "$venv/bin/uv" pip install --python "$venv/bin/python" --system-certs \
    --no-deps --require-hashes -r requirements.lock
}

install_packages() {
  say "Installing $(grep -c '==' requirements.lock) packages at the versions of requirements.lock"
  install_with_uv && return
  say "uv could not do it here; trying with pip"
  pip install --root-user-action=ignore --no-deps --require-hashes -r requirements.lock && return
  stop "the packages could not be installed; the reason is above. The usual ones:" \
    "no network, or a proxy:  set HTTPS_PROXY, or PIP_INDEX_URL to a mirror, then again: make setup" \
    "no space:                $(free_mb) MB are free here, about $needed_mb MB are needed" \
    "no wheel:                the lock is for Linux (glibc), macOS and Windows with CPython 3.11"
}

install_project() {
  say "Linking the project into $venv"
  pip install --root-user-action=ignore -q --no-deps --no-index --no-build-isolation --editable . ||
    stop "the project could not be linked into $venv; the reason is above."
}

make_venv
install_packages
install_project
touch "$venv/.installed"
say "Ready: $venv"
