//! What the operator sees of a channel itself, rather than of its audience.

use std::time::Duration;

use link::protocol::{Condition, Event};

use super::Hub;
use crate::map::Preview;

/// A channel is shown anew so often at most, however many look at it.
const ANEW: Duration = Duration::from_secs(3);

impl Hub {
    /// How a channel fares at each headend that makes it.
    pub fn conditions(&self, channel: &str) -> Vec<Condition> {
        let now = self.now();
        self.lock().map.monitor().conditions(now, channel).cloned().collect()
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
