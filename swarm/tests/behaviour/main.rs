//! The engine's behaviour on a virtual network, one behaviour in each file.

mod net;
mod plays_over_one_repeater;
