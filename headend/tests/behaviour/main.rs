//! The headend's behaviour, one file for each.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod apart;
mod check;
mod common;
mod encoding;
mod failover;
mod ladder;
mod live;
mod passing;
mod run_time;
mod schedule;
mod sound;
mod sources;
mod splicing;
