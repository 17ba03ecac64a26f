#!/usr/bin/env bash
# The benchmarks, in the release build: `all`, one part of the whole programs by name, or `parts`: the pure parts with
# their distributions (criterion).
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:-all}
case $part in
  parts) exec cargo bench --workspace --bench '*' ;;
  fan-out-400) arguments=(fan-out --children 400) ;;
  fan-out-20) arguments=(fan-out --mbit 20) ;;
  headend-20) arguments=(headend --mbit 20) ;;
  rendezvous-redis) arguments=(rendezvous --redis) ;;
  *) arguments=("$part") ;;
esac
exec "${CARGO_TARGET_DIR:-target}/release/braidcast-bench" "${arguments[@]}" --runs "${RUNS:-5}"
