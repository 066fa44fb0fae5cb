#!/usr/bin/env bash
# Installs the optional parts of the tests where this machine allows it: Chromium with a Chinese font, a C
# compiler for the crash harness, what makes network namespaces for the scenarios, the npm packages of the contracts and client tests, the
# cometbft binary. What cannot be had is named; its tests then skip (in CI they fail).
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

if ! command -v ip >/dev/null || ! command -v unshare >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq iproute2 util-linux) >/dev/null 2>&1 \
      || missing "network namespaces" "apt-get install iproute2 util-linux"
  else
    missing "network namespaces" "apt-get install iproute2 util-linux"
  fi
fi

if ! command -v systemd-analyze >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd) >/dev/null 2>&1 \
      || missing systemd-analyze "apt-get install systemd"
  else
    missing systemd-analyze "apt-get install systemd"
  fi
fi

# promtool comes out of Debian's package of Prometheus, without the server that the package would start.
if ! command -v promtool >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    scratch=$(mktemp -d)
    (cd "$scratch" && apt-get update -qq && apt-get download -qq prometheus && dpkg -x prometheus_*.deb . && install usr/bin/promtool /usr/local/bin/) >/dev/null 2>&1 \
      || missing promtool "apt-get install prometheus"
    rm -rf "$scratch"
  else
    missing promtool "apt-get install prometheus"
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
bash deploy/install-cometbft.sh || missing "cometbft 0.40" "see above"
exit 0
