//! How the session is, for whoever watches.

use tokio::sync::watch;

use super::{SessionError, SessionState};
use crate::protocol::{ChannelInfo, Schedule};

/// Tells changes; equal states are told once.
pub(crate) struct Teller {
    state: watch::Sender<SessionState>,
    auth: std::sync::Mutex<Lacks>,
}

#[derive(Default)]
struct Lacks {
    auth: Option<String>,
    rendezvous: Option<String>,
}

impl Teller {
    pub(crate) fn new() -> Self {
        Self { state: watch::Sender::default(), auth: std::sync::Mutex::default() }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<SessionState> {
        self.state.subscribe()
    }

    fn lacks(&self, change: impl FnOnce(&mut Lacks)) {
        let mut lacks = self.auth.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut lacks);
        let texts: Vec<&str> =
            [&lacks.rendezvous, &lacks.auth].into_iter().flatten().map(String::as_str).collect();
        let missing = if texts.is_empty() { None } else { Some(texts.join("; ")) };
        let (auth, rendezvous) = (lacks.auth.is_none(), lacks.rendezvous.is_none());
        self.change(|state| {
            state.auth = auth;
            state.rendezvous = rendezvous;
            state.missing = missing;
        });
    }

    fn change(&self, change: impl FnOnce(&mut SessionState)) {
        self.state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    }

    /// Auth answered, or why it did not.
    pub(crate) fn auth(&self, outcome: Result<(), &SessionError>) {
        let refused = outcome.err().filter(|error| {
            !matches!(error, SessionError::AuthUnreachable(_) | SessionError::TooMany(_))
        });
        self.change(|state| {
            // Being reached is no pardon: only a sign-in is.
            if refused.is_some() {
                state.refused = refused.cloned();
            }
        });
        self.lacks(|lacks| lacks.auth = outcome.err().map(SessionError::to_string));
    }

    /// The node was signed in.
    pub(crate) fn signed_in(&self) {
        self.auth(Ok(()));
        self.change(|state| state.refused = None);
    }

    /// Rendezvous is connected, or why not.
    pub(crate) fn rendezvous(&self, outcome: Result<(), &SessionError>) {
        self.lacks(|lacks| lacks.rendezvous = outcome.err().map(SessionError::to_string));
    }

    /// The line-up is this; what is on elsewhere is of no more interest.
    pub(crate) fn line_up(&self, line_up: Vec<ChannelInfo>) {
        self.change(|state| {
            let listed = |channel: &String| line_up.iter().any(|info| info.id == *channel);
            state.programmes.retain(|channel, _| listed(channel));
            state.line_up = line_up;
        });
    }

    /// The sources of these channels say that this is on.
    pub(crate) fn on_air(&self, schedules: Vec<Schedule>) {
        self.change(|state| {
            for schedule in schedules {
                let listed = state.line_up.iter().any(|info| info.id == schedule.channel);
                if listed && !schedule.programmes.is_empty() && schedule.is_bounded() {
                    state.programmes.insert(schedule.channel, schedule.programmes);
                } else {
                    state.programmes.remove(&schedule.channel);
                }
            }
        });
    }
}
