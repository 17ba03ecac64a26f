//! A real rendezvous over loopback, with an auth that the tests play themselves.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod auth;
mod channels;
mod limits;
mod operator;
mod outage;
mod refusals;
mod sessions;
mod stage;
