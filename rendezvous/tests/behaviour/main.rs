//! A real rendezvous over loopback, with an auth that the tests play themselves.

mod auth;
mod channels;
mod limits;
mod operator;
mod outage;
mod refusals;
mod stage;
