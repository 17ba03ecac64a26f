#!/usr/bin/env bash
# Installs the viewer's package on a clean Debian 12, without what is only recommended, and drives its window there against
# a platform on this machine. Needs root and Debian's mirror; programs and tests are built, packages lie in PACKAGES.
#
#   deploy/deb/test.sh PACKAGES TEST...     TEST: the command that runs the window's test
set -euo pipefail
packages=$(realpath "$1")
shift
command -v debootstrap >/dev/null || apt-get install -y --no-install-recommends debootstrap
work=$(mktemp -d)
root=$work/root
clean() {
  for place in tmp dev proc; do
    if mountpoint -q "$root/$place"; then umount "$root/$place"; fi
  done
  # What is mounted still must not be removed.
  rm -rf --one-file-system "$work"
}
trap clean EXIT
debootstrap --variant=minbase bookworm "$root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
# How this machine reaches the mirror.
cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
cp "$packages"/braidcast_*.deb "$root/root/"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
chroot "$root" sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends /root/braidcast_*.deb'
# The test's folders and buses are there.
mount --bind /tmp "$root/tmp"
printf '#!/bin/sh\nexec chroot "%s" /usr/bin/braidcast "$@"\n' "$root" >"$work/braidcast"
chmod 755 "$work/braidcast"
BRAIDCAST_PROGRAM=$work/braidcast "$@"
