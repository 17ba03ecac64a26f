#!/usr/bin/env bash
# The images of docker-compose.yml around programs that were built here, which takes a minute where
# building them inside takes a quarter of an hour: all of deploy/Dockerfile but its first stage.
# For Debian 12, whose libraries the images have.
#
#   deploy/compose/images.sh [FOLDER WITH THE PROGRAMS]     default: target/debug
set -euo pipefail
cd "$(dirname "$0")/../.."
from=${1:-target/debug}
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
mkdir -p "$context/out" "$context/deploy/compose"
for program in auth rendezvous repeater headend; do
  install "$from/braidcast-$program" "$context/out/"
  strip --strip-debug "$context/out/braidcast-$program"
done
cp deploy/compose/braidcast-compose "$context/deploy/compose/"
{
  printf 'FROM debian:bookworm-slim AS build\nCOPY out /out\n\n'
  sed -n '/^FROM debian:bookworm-slim AS base/,$p' deploy/Dockerfile
} >"$context/Dockerfile"
for image in platform headend; do
  docker build -q --target "$image" -t "braidcast/$image" "$context"
done
