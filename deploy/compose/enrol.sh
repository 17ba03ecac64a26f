#!/bin/sh
# Makes the secrets of docker-compose.yml in the volume /run/credentials, once, and enrols the nodes
# that bear them at auth. Running it again does no harm.
set -eu
umask 077
cd /run/credentials

secret() {
  [ -s "$1" ] && return
  od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$1.new"
  mv "$1.new" "$1"
}

# What the test channel's keys are made from.
secret channel-secret

seed=$(mktemp)
trap 'rm -f "$seed"' EXIT
printf '[[packages]]\nname = "all"\nchannels = ["*"]\n' >"$seed"
for node in rendezvous headend repeater; do
  secret "$node"
  printf '[[nodes]]\nname = "%s"\nrole = "%s"\ncredential = "%s"\n' \
    "$node" "$node" "$(cat "$node")" >>"$seed"
done
braidcast-auth --config /etc/braidcast/auth.toml apply "$seed"
