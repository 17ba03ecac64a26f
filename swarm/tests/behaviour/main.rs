//! The engine's behaviour on a virtual network, one behaviour in each file.

mod begins_at;
mod chain_heals;
mod comes_again;
mod cut_off;
mod exchange_under_caps;
mod holes_are_pulled;
mod hostile_inputs;
mod household;
mod late_joiner;
mod liar_dropped;
mod net;
mod no_loops;
mod parent_lost;
mod plays_over_one_repeater;
mod rendezvous_gone;
mod replays_from_seed;
mod rests;
mod same_moment;
mod server_overload;
mod sole_repeater;
mod source_gap;
