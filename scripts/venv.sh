# Sourced by the other scripts: finds a Python and keeps a virtual environment in the checkout.
#
#   PYTHON        the interpreter to use (default: the first of python3, python3.11 ... that is new enough)
#   LMTOOLS_VENV  the environment's folder (default: .venv in the checkout)

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${LMTOOLS_VENV:-$ROOT/.venv}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1; }

# Prints the interpreter to use, or says what is needed and fails.
find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
    if is_new_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  echo "$0: no Python 3.11 or newer: tried ${PYTHON:-python3, python3.14 to python3.11, python}." \
    "Install one, or name it: PYTHON=/path/to/python3 $0" >&2
  return 1
}

# What an environment was made from. A checkout that moved, another Python or a changed pyproject makes it stale.
fingerprint() { printf '%s\n' "$ROOT" "$("$1" -c 'import sys; print(sys.version)')"; cat "$ROOT/pyproject.toml"; }

create_venv() {
  local python=$1
  echo "$0: making $VENV with $("$python" -V)" >&2
  if ! "$python" -m venv --clear "$VENV" >&2; then
    echo "$0: $python -m venv failed. Debian and Ubuntu need: apt-get install python3-venv" >&2
    return 1
  fi
}

install_extra() {
  local extra=$1
  echo "$0: installing the '$extra' extra" >&2
  if ! "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
    --editable "$ROOT[$extra]" </dev/null >&2; then
    echo "$0: could not install the '$extra' extra (pip's own words are above). It needs a package index or a folder of" \
      "wheels (PIP_FIND_LINKS=/folder). The programs need neither: python3 -m lmtools.apiproxy -provider loopback" >&2
    return 1
  fi
}

# need_venv EXTRA...: leaves $VENV with the extras installed. Does nothing when they already are.
need_venv() {
  local python extra made
  if [[ -x $VENV/bin/python && -z ${PYTHON:-} ]] && is_new_enough "$VENV/bin/python"; then
    python=$VENV/bin/python
  else
    python=$(find_python) || return 1
  fi
  made=$(fingerprint "$python")
  if [[ ! -x $VENV/bin/python || $(cat "$VENV/.lmtools" 2>/dev/null) != "$made" ]]; then
    [[ $python == "$VENV"/* ]] && python=$("$python" -c 'import sys; print(sys._base_executable)')
    create_venv "$python" || return 1
    printf '%s\n' "$made" >"$VENV/.lmtools"
  fi
  for extra in "$@"; do
    [[ -e $VENV/.lmtools-$extra ]] && continue
    install_extra "$extra" || return 1
    touch "$VENV/.lmtools-$extra"
  done
}
