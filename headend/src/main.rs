//! The headend's program.

fn main() {}
