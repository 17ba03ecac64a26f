//! What `segment` promises, seen from outside: one file per promise.

mod round_trip;
mod support;
