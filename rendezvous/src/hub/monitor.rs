//! What the operator sees of a channel itself, rather than of its audience.

use std::time::Duration;

use link::protocol::{Condition, Event, Order, Programme, Schedule};
use swarm::Time;
use ticket::{PeerId, Role, UserTicket};

use super::{Hub, State};
use crate::map::Preview;

/// A channel is shown anew so often at most, however many look at it.
const ANEW: Duration = Duration::from_secs(3);

/// The most channels in one event: 200 KiB if all texts are as long as they may be.
const CHANNELS: usize = 100;

/// What of this a ticket grants, as events.
pub(super) fn on_air(schedules: &[Schedule], ticket: &UserTicket) -> Vec<Event> {
    let granted = schedules.iter().filter(|schedule| ticket.grants(&schedule.channel));
    let granted: Vec<Schedule> = granted.cloned().collect();
    granted.chunks(CHANNELS).map(|some| Event::OnAir(some.to_vec())).collect()
}

impl Hub {
    /// How a channel fares at each headend that makes it.
    pub fn conditions(&self, channel: &str) -> Vec<Condition> {
        let now = self.now();
        self.lock().map.monitor().conditions(now, channel).cloned().collect()
    }

    /// What the source of a channel says is on.
    pub fn programmes(&self, channel: &str) -> Vec<Programme> {
        let now = self.now();
        self.lock().map.monitor().programmes(now, channel).to_vec()
    }

    /// Tells viewers what is on now where something else was before.
    pub(super) fn tell_on_air(&self, state: &mut State, now: Time) {
        let changed = std::mem::take(&mut state.on_air_changed);
        if changed.is_empty() {
            return;
        }
        let schedule = |channel: String| {
            let programmes = state.map.monitor().programmes(now, &channel).to_vec();
            Schedule { channel, programmes }
        };
        let schedules: Vec<Schedule> = changed.into_iter().map(schedule).collect();
        for seat in state.seats.values().filter(|seat| seat.ticket.role == Role::Viewer) {
            for some in on_air(&schedules, &seat.ticket) {
                self.push(seat, some);
            }
        }
    }

    /// Wants a headend to set a channel, or (`None`) to remove it. Gives the order's number; nothing if the headend cannot
    /// be told.
    pub fn order(&self, headend: PeerId, channel: &str, section: Option<String>) -> Option<u64> {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let number = u64::from_be_bytes(random);
        let order = Order { number, channel: channel.to_owned(), section };
        self.tell(headend, Event::Order(order)).then_some(number)
    }

    /// What a channel showed last; asks its headends for a picture of now.
    pub fn preview(&self, channel: &str) -> Option<Preview> {
        let now = self.now();
        let mut state = self.lock();
        let state = &mut *state;
        state.looked.retain(|_, at| now.since(*at) < ANEW);
        let publishers = state.map.publishers(channel);
        if !publishers.is_empty() && !state.looked.contains_key(channel) {
            state.looked.insert(channel.to_owned(), now);
            for headend in publishers {
                self.tell_in(state, headend, Event::Look { channel: channel.to_owned() });
            }
        }
        state.map.monitor().preview(now, channel).cloned()
    }
}
