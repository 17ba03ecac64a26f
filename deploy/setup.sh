#!/usr/bin/env bash
# Installs what building and running needs: system packages through apt, and a check of the Rust
# toolchain. Says nothing and takes no time when all is there.
#
#   deploy/setup.sh          to build and to run
#   deploy/setup.sh test     and what only the tests need
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

# Building: C for the libraries that hold some, headers of GStreamer and GTK, gettext's compiler. Running:
# GStreamer's plugins (text in pictures is in -x), icons and their reader.
packages=(
  build-essential cmake pkg-config ca-certificates
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav
  gstreamer1.0-x fonts-dejavu-core
  libgtk-4-dev gettext adwaita-icon-theme librsvg2-common
)
# Taken where the distribution has them: sound, and a window on the graphics card.
wanted=(gstreamer1.0-gl gstreamer1.0-alsa gstreamer1.0-pulseaudio)
# Tests decode what viewers received with another decoder, run auth on PostgreSQL too and rendezvous
# with Redis, count instructions, and make network namespaces.
if [ "${1:-}" = test ]; then
  # gir1.2-gst-rtsp-server-1.0 and python3-gi: a camera for tests.
  packages+=(gir1.2-gst-rtsp-server-1.0 python3-gi)
  # The window is driven by its accessibility and by keys, on a display of its own.
  packages+=(xvfb openbox x11-utils xdotool imagemagick dbus-daemon at-spi2-core python3-pyatspi gnome-keyring)
  # What desktops read of it is checked.
  packages+=(desktop-file-utils appstream)
  # The console's pages are tested in a real browser.
  packages+=(chromium)
  command -v node >/dev/null || packages+=(nodejs)
  command -v npm >/dev/null || packages+=(npm)
  packages+=(ffmpeg iproute2 nftables ethtool conntrack postgresql procps redis-server valgrind)
  # Whether docker-compose.yml is valid; the package without the engine.
  command -v docker-compose >/dev/null || wanted+=(docker-compose)
  # A home's router that gives ports; the package without the service.
  wanted+=(miniupnpd-nftables)
fi

installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

offered() { [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }

install_packages() {
  local missing=() optional=() package
  for package in "${packages[@]}"; do installed "$package" || missing+=("$package"); done
  for package in "${wanted[@]}"; do installed "$package" || optional+=("$package"); done
  # What the distribution does not have must not cost an update of the lists each time.
  if [ ${#missing[@]} -eq 0 ]; then
    for package in "${optional[@]}"; do ! offered "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    optional=()
  fi

  local root=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      say "as root, install these packages, then run this again: ${missing[*]}"
      exit 1
    fi
    root=(sudo)
  fi
  say "installing ${missing[*]}"
  local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  "${apt[@]}" update
  for package in "${optional[@]}"; do ! offered "$package" || missing+=("$package"); done
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# Without apt one can still build, if GStreamer is there.
check_without_apt() {
  local need
  for need in cc pkg-config cmake; do
    command -v "$need" >/dev/null || { say "please install $need (this is no Debian or Ubuntu, so it cannot be done here)"; exit 1; }
  done
  if ! pkg-config --atleast-version=1.22 gstreamer-1.0 gstreamer-app-1.0 || ! pkg-config --atleast-version=4.8 gtk4; then
    say "please install GTK 4.8 or newer and GStreamer 1.22 or newer with their headers, and GStreamer's plugins base, good, bad, ugly and libav"
    exit 1
  fi
}

rust_needed() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

rust_version() {
  . deploy/environment.sh
  rustc --version 2>/dev/null | cut -d' ' -f2
}

rust_is_new_enough() {
  local have=$1
  [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$(rust_needed)" "${have%%-*}" | sort -V | head -1)" = "$(rust_needed)" ]
}

check_rust() {
  local have
  have=$(rust_version || true)
  rust_is_new_enough "$have" && return 0

  . deploy/environment.sh
  # rustup is a package of Debian 13 and Ubuntu 24.04.
  if ! command -v rustup >/dev/null && command -v apt-get >/dev/null && offered rustup; then
    packages=(rustup) wanted=()
    install_packages
  fi
  if command -v rustup >/dev/null; then
    say "Rust ${have:-is not there}${have:+ is too old}: rustup installs the stable toolchain"
    if rustup toolchain install stable --profile minimal --component rustfmt --component clippy; then
      rustup default stable >/dev/null
    fi
  fi
  have=$(rust_version || true)
  if ! rust_is_new_enough "$have"; then
    say "Rust $(rust_needed) or newer is needed${have:+ and this is $have}: install it from https://rustup.rs, then run this again"
    exit 1
  fi
}

# What drives the browser, at one version, for tests alone.
browser_driver() {
  local want=1.65.1 folder=.cache/browser
  command -v npm >/dev/null || return 0
  [ "$(cat "$folder/version" 2>/dev/null)" = "$want" ] && return 0
  say "installing playwright-core $want into $folder"
  mkdir -p "$folder"
  npm install --silent --no-audit --no-fund --prefix "$folder" "playwright-core@$want" && echo "$want" >"$folder/version"
}

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
  install_packages
else
  check_without_apt
fi
check_rust
[ "${1:-}" != test ] || browser_driver
