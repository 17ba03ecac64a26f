# shellcheck shell=bash
# Sourced by the Makefile: finds a Rust toolchain that rustup put into the home folder, for shells
# that were opened before it was there.
if ! command -v cargo >/dev/null 2>&1 && [ -f "${CARGO_HOME:-$HOME/.cargo}/env" ]; then
  # shellcheck source=/dev/null
  . "${CARGO_HOME:-$HOME/.cargo}/env"
fi
