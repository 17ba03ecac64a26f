//! What `segment` promises, seen from outside: one file per promise.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod hostile;
mod layers;
mod overhead;
mod round_trip;
mod second;
mod shapes;
mod support;
mod twins;
mod vectors;
