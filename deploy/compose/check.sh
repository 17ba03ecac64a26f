#!/usr/bin/env bash
# Whether docker-compose.yml is valid, and the images can be made. What there is no Docker for is passed over, with a line
# that says so.
#
#   deploy/compose/check.sh [FOLDER WITH THE PROGRAMS]     default: target/debug
set -euo pipefail
cd "$(dirname "$0")/../.."

compose=()
if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
fi
if [ ${#compose[@]} -gt 0 ]; then
  for profile in "" observability; do
    COMPOSE_PROFILES=$profile "${compose[@]}" --env-file .env.example config -q
  done
  echo "docker-compose.yml is valid (${compose[*]})"
else
  echo "skipped: docker-compose.yml is not checked, because there is no Compose here"
fi

# Templates have no place left that nobody fills.
unfilled=$(cat deploy/compose/*.toml deploy/compose/*.yml | grep -v '^ *#' | grep -oE '@[A-Z_]+@' | sort -u |
  while read -r place; do grep -qF "s|$place|" deploy/compose/braidcast-compose || echo "$place"; done)
[ -z "$unfilled" ] || { echo "nobody fills: $unfilled" >&2; exit 1; }

if docker info >/dev/null 2>&1 && docker image inspect debian:bookworm-slim >/dev/null 2>&1; then
  deploy/compose/images.sh "${1:-target/debug}"
  echo "the images can be made"
else
  echo "skipped: images are not made, because there is no Docker engine with debian:bookworm-slim here"
fi
