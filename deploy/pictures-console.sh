#!/usr/bin/env bash
# Takes pictures of every page of the console, in a wide and in a narrow window, of the platform that
# `make demo` sets up: into docs/pictures/console, or the folder given. Fails if a page loads anything
# from elsewhere, breaks the rules of its own policy, or is wider than a telephone.
# Needs chromium and npm.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-docs/pictures/console}")
programs=${CARGO_TARGET_DIR:-target}/debug
mkdir -p "$out" .cache/pictures
[ -d .cache/pictures/node_modules/playwright-core ] ||
  npm install --silent --no-audit --no-fund --prefix .cache/pictures playwright-core@1.55.1

log=$(mktemp)
DEMO_SECONDS=${DEMO_SECONDS:-300} "$programs/braidcast-demo" >"$log" 2>&1 &
demo=$!
trap 'kill -INT "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; rm -f "$log"' EXIT
for _ in $(seq 600); do
  grep -q '^console' "$log" && break
  kill -0 "$demo" || { cat "$log"; exit 1; }
  sleep 0.5
done
address=$(sed -n 's/^console *//p' "$log" | head -1)
NODE_PATH=.cache/pictures/node_modules node deploy/pictures-console.js "$address" "$out"
