//! Whole-system tests: the real programs, on loopback, each test with a stage of its own.

mod bad_configuration;
mod blind_repeater;
mod console;
mod control_plane_away;
mod demonstration;
mod exchange;
mod hostile_peer;
mod peers_vanish;
mod refusals;
mod repeater_leaves;
mod repeater_limits;
mod window;
mod zapping;
