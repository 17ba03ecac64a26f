//! Real programs in real homes: network namespaces behind routers of every kind. Skipped where they cannot be made.

mod blocked;
mod household;
mod ipv6;
mod ladder;
mod moving;
mod playing;
mod scene;
