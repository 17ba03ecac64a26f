//! The engine's behaviour on a virtual network, one behaviour in each file.

mod exchange_under_caps;
mod net;
mod parent_lost;
mod plays_over_one_repeater;
