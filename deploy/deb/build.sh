#!/usr/bin/env bash
# Makes the Debian packages from programs that are built: braidcast and braidcast-repeater.
#
#   deploy/deb/build.sh PROFILE OUTPUT     such as: release target/deb
set -euo pipefail
cd "$(dirname "$0")/../.."
profile=$1 output=$2
built=${CARGO_TARGET_DIR:-target}/$profile
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
arch=$(dpkg --print-architecture)
date=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}" -R)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$output"

# The program without what is for debuggers.
program() { # PACKAGE-ROOT PROGRAM
  install -D -m 755 "$built/$2" "$1/usr/bin/$2"
  strip --strip-unneeded --remove-section=.comment "$1/usr/bin/$2"
}

# The packages of the libraries that a program is linked with.
libraries() { # PROGRAM-FILE
  mkdir -p "$work/shlibs/debian"
  printf 'Source: braidcast\n\nPackage: braidcast\nArchitecture: any\n' >"$work/shlibs/debian/control"
  (cd "$work/shlibs" && dpkg-shlibdeps -O "$1" 2>/dev/null) | sed -n 's/^shlibs:Depends=//p'
}

manual() { # PACKAGE-ROOT PAGE
  install -d "$1/usr/share/man/man${2##*.}"
  gzip -9n <"docs/man/$2" >"$1/usr/share/man/man${2##*.}/$2.gz"
  chmod 644 "$1/usr/share/man/man${2##*.}/$2.gz"
}

documents() { # PACKAGE-ROOT PACKAGE
  local doc=$1/usr/share/doc/$2
  install -D -m 644 deploy/deb/copyright "$doc/copyright"
  printf '%s (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md of the project.\n\n -- %s  %s\n' \
    "$2" "$version" "Braidcast developers <developers@braidcast.example>" "$date" |
    gzip -9n >"$doc/changelog.gz"
  chmod 644 "$doc/changelog.gz"
}

package() { # PACKAGE PROGRAM
  local root=$work/$1 size
  size=$(du -k -s --apparent-size "$root" | cut -f1)
  install -d "$root/DEBIAN"
  sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" \
    -e "s/@LIBRARIES@/$(libraries "$root/usr/bin/$2")/" "deploy/deb/$1/control" >"$root/DEBIAN/control"
  (cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | LC_ALL=C sort | xargs md5sum) >"$root/DEBIAN/md5sums"
  find "$root" -type d -exec chmod 755 {} +
  dpkg-deb --root-owner-group -Zxz --build "$root" "$output/${1}_${version}_${arch}.deb"
}

root=$work/braidcast
program "$root" braidcast
manual "$root" braidcast.1
documents "$root" braidcast
install -D -m 644 deploy/config/client.toml "$root/usr/share/doc/braidcast/client.toml"
id=tv.braidcast.Braidcast
install -D -m 644 "client/data/$id.desktop" "$root/usr/share/applications/$id.desktop"
install -D -m 644 "client/data/$id.metainfo.xml" "$root/usr/share/metainfo/$id.metainfo.xml"
for icon in $(cd client/data && find icons -name '*.svg' -o -name '*.png'); do
  install -D -m 644 "client/data/$icon" "$root/usr/share/$icon"
done
package braidcast braidcast

root=$work/braidcast-repeater
program "$root" braidcast-repeater
manual "$root" braidcast-repeater.8
documents "$root" braidcast-repeater
install -D -m 644 deploy/deb/braidcast-repeater/braidcast-repeater.service \
  "$root/usr/lib/systemd/system/braidcast-repeater.service"
# The annotated reference, with the paths of the package.
install -d "$root/etc/braidcast"
sed -e 's|^#~ credential = .*|credential = { file = "/etc/braidcast/repeater-credential" }|' \
  -e 's|^#identity = .*|identity = "/var/lib/braidcast-repeater/repeater.key"|' \
  deploy/config/repeater.toml >"$root/etc/braidcast/repeater.toml"
chmod 644 "$root/etc/braidcast/repeater.toml"
grep -q '^credential = ' "$root/etc/braidcast/repeater.toml"
grep -q '^identity = ' "$root/etc/braidcast/repeater.toml"
install -d "$root/DEBIAN"
echo /etc/braidcast/repeater.toml >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
  install -m 755 "deploy/deb/braidcast-repeater/$script" "$root/DEBIAN/$script"
done
package braidcast-repeater braidcast-repeater
