#!/bin/sh
# Makes .venv and installs the pinned packages; does nothing when that is done already.
#
# usage: scripts/setup.sh [EXTRAS]             EXTRAS of pyproject.toml, default: test
#        PYTHON=python3.12 scripts/setup.sh    chooses the interpreter
set -eu

extras=${1:-test}
cd "$(dirname "$0")/.."
python=.venv/bin/python
stamp=.venv/setup-$extras.sha256

say() { printf '%s\n' "$*"; }
stop() { printf '\nSet-up stopped: %s\n' "$1" >&2; shift; for line; do printf '  %s\n' "$line" >&2; done; exit 1; }
fits() { "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# The folder is part of the key: the scripts in .venv/bin name it, so a moved checkout needs a new .venv.
key() {
    "$python" - <<'END'
import hashlib, pathlib, sys
parts = [sys.version, str(pathlib.Path.cwd())]
parts += [pathlib.Path(name).read_text("utf-8") for name in ("pyproject.toml", "constraints.txt")]
print(hashlib.sha256("\0".join(parts).encode()).hexdigest())
END
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || stop "PYTHON=$PYTHON is not a Python of version 3.11 or later." \
            "Name another one, or leave PYTHON out to let the set-up look for it."
        say "$PYTHON"
        return
    fi
    for name in python3.11 python3.12 python3.13 python3.14 python3 python; do
        if fits "$name"; then say "$name"; return; fi
    done
    stop "Python 3.11 or later is needed and none was found." \
        "Found as python3: $(python3 --version 2>&1 || true)" \
        "Install one (your system's package manager, or conda), then run the same command again;" \
        "if it has another name: make setup PYTHON=/path/to/python"
}

if [ -x "$python" ] && [ -f "$stamp" ] && [ "$(key)" = "$(cat "$stamp")" ]; then
    say "Ready: .venv holds the packages of constraints.txt (nothing to do)."
    exit 0
fi

started=$(date +%s)
if ! fits "$python" || ! "$python" -m pip --version >/dev/null 2>&1; then
    base=$(find_python)
    "$base" -c 'import ensurepip, venv' >/dev/null 2>&1 || stop \
        "$("$base" --version) cannot make a virtual environment (its venv or ensurepip is missing)." \
        "On Debian and Ubuntu: apt-get install python3-venv. Then run the same command again."
    say "1/3  Making .venv with $("$base" --version) ..."
    "$base" -m venv --clear .venv
else
    say "1/3  Keeping .venv ($("$python" --version)); its packages are out of date."
fi
rm -f "$stamp"

free=$("$python" -c 'import shutil; print(shutil.disk_usage(".").free // 10**9)')
[ "$free" -ge 10 ] || say "     Note: $free GB are free here; on Linux the packages take about 7 GB (torch with CUDA)."
say "2/3  Installing the packages pinned in constraints.txt (mostly torch: some GB to download the first time) ..."
if ! "$python" -m pip --disable-pip-version-check install -c constraints.txt -e ".[$extras]"; then
    if "$python" -m pip --disable-pip-version-check --retries 0 --timeout 10 index versions pydantic >/dev/null 2>&1; then
        stop "pip reached a package index but could not install everything; its last lines above say why." \
            "No matching distribution: this Python or system has no build of a pinned version. Python 3.11 on" \
            "Linux x86-64 is what the pins are tested with: make setup PYTHON=python3.11" \
            "No space left: free some disk space. Then run the same command again; finished downloads are kept."
    fi
    stop "pip could not reach a package index." \
        "Check the network, the proxy (HTTPS_PROXY) and what 'pip config list' says, then run the same command" \
        "again; finished downloads are kept."
fi

say "3/3  Checking ..."
"$python" -m pip --disable-pip-version-check check || stop "the installed packages do not fit together (lines above)." \
    "Start anew: rm -r .venv, then run the same command again."
"$python" -c 'import workbench' || stop "the package does not import (lines above)."
key > "$stamp"
say "Ready after $(($(date +%s) - started)) s."
