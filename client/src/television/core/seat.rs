//! What there is while somebody is signed in.

use std::net::SocketAddr;
use std::time::Duration;

use link::SessionState;
use service::Stop;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::tuner::Tuner;
use super::super::{Account, Command};
use crate::guide::Guide;
use crate::player::Player;
use crate::problem::Problem;
use crate::vault::Kept;
use crate::viewer::Viewer;

/// The first segment of a channel is waited for so long before it is called a problem.
const FIRST: Duration = Duration::from_secs(6);

/// What there is while somebody is signed in.
pub(super) struct Seat {
    pub(super) viewer: Viewer,
    /// Whether the password was typed for it: where it is kept is told then, not at each start.
    pub(super) by_hand: bool,
    pub(super) state: watch::Receiver<SessionState>,
    pub(super) tuner: Tuner,
    pub(super) player: Player,
    pub(super) serving: Stop,
    pub(super) server: Option<JoinHandle<()>>,
    pub(super) local: Option<SocketAddr>,
    /// The configured local address, if it was taken.
    pub(super) taken: Option<SocketAddr>,
}

impl Seat {
    pub(super) fn transport(&mut self, command: Command, guide: &Guide) {
        let tuner = &mut self.tuner;
        match command {
            Command::Pause => tuner.pause(),
            Command::Resume => tuner.resume(),
            Command::TogglePause => tuner.toggle_pause(),
            Command::SeekTo(position) => tuner.seek_to(position),
            Command::SeekBy(seconds) => tuner.seek_by(seconds),
            Command::Live => tuner.live(),
            Command::RestartProgramme => tuner.restart_programme(guide),
            Command::Shown(position) => tuner.shown(position),
            Command::Pictured => tuner.pictured(),
            _ => {}
        }
    }

    pub(super) fn account(&self) -> Account {
        let viewer = &self.viewer;
        Account {
            server: viewer.server.clone(),
            user: viewer.user.clone(),
            platform: viewer.live.node().platform().to_string(),
            kept: if viewer.remember { viewer.vault.kept() } else { Kept::Not },
        }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let state = self.state.borrow();
        let mut problems = self.tuner.problems(state.rendezvous || state.auth, FIRST);
        if (!state.auth || !state.rendezvous) && !problems.contains(&Problem::NoNetwork) {
            problems.push(Problem::PlatformAway);
        }
        problems.extend(
            self.taken.map(|address| Problem::LocalAddress { address: address.to_string() }),
        );
        problems
    }
}

/// Waits until something of the platform or the channel has changed. Cancel safe.
pub(super) async fn busy(seat: &mut Option<Seat>) {
    let Some(Seat { tuner, state, .. }) = seat else { return std::future::pending().await };
    tokio::select! {
        () = tuner.next() => {}
        Ok(()) = state.changed() => {
            let back = {
                let state = state.borrow();
                let live = |channel| {
                    state.line_up.iter().any(|info| info.id == channel && info.live)
                };
                state.rendezvous && tuner.channel().is_some_and(live)
            };
            if back {
                tuner.retry_if_waiting();
            }
        }
    }
}
