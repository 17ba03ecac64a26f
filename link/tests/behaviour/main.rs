//! What nodes, endpoints and sessions do, one file per behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod chain;
mod common;
mod identity;
mod meeting;
mod misbehaviour;
mod session;
mod slow_receiver;
mod tickets;
mod zapping;
