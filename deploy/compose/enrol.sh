#!/bin/sh
# Enrols the nodes of docker-compose.yml at auth, once: each credential is printed only when its
# node is added, and is kept in the volume /run/credentials.
set -eu
umask 077
cd /run/credentials

enrol() {
  [ -s "$1" ] && return
  braidcast-auth --config /etc/braidcast/auth.toml node add "$1" --role "$2" >"$1.new"
  mv "$1.new" "$1"
  echo "enrolled $1"
}

# What the test channel's keys are made from.
if [ ! -s channel-secret ]; then
  head -c 32 /dev/urandom | base64 >channel-secret.new
  mv channel-secret.new channel-secret
fi

enrol rendezvous rendezvous
enrol headend headend
enrol repeater repeater
