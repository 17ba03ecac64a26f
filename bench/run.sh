#!/usr/bin/env bash
# The benchmarks, in the release build: `all`, one part of the whole programs by name, or `parts`: the pure parts with
# their distributions (criterion).
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:-all}
if [ "$part" = parts ]; then
  exec cargo bench --workspace --bench '*'
fi
exec "${CARGO_TARGET_DIR:-target}/release/braidcast-bench" "$part" --runs "${RUNS:-5}"
