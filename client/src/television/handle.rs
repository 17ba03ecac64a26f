//! A handle for those who must not keep the television alive: media keys.

use tokio::sync::{broadcast, mpsc};

use super::{Command, Television, Wish};
use crate::choices::Settings;
use crate::timeshift::Position;

/// Commands, as long as there is a television.
#[derive(Clone)]
pub(crate) struct Handle {
    commands: mpsc::WeakSender<Command>,
    wishes: broadcast::WeakSender<Wish>,
}

impl Handle {
    pub(super) fn new(television: &Television) -> Self {
        Self {
            commands: television.commands.downgrade(),
            wishes: television.shared.wishes.downgrade(),
        }
    }

    fn tell(&self, command: Command) {
        if let Some(commands) = self.commands.upgrade() {
            let _busy = commands.try_send(command);
        }
    }

    pub(crate) fn wish(&self, wish: Wish) {
        if let Some(wishes) = self.wishes.upgrade() {
            let _no_window = wishes.send(wish);
        }
    }

    pub(crate) fn zap(&self, channel: &str) {
        self.tell(Command::Zap(channel.to_owned()));
    }

    pub(crate) fn zap_by(&self, steps: i32) {
        self.tell(Command::ZapBy(steps));
    }

    pub(crate) fn pause(&self) {
        self.tell(Command::Pause);
    }

    pub(crate) fn resume(&self) {
        self.tell(Command::Resume);
    }

    pub(crate) fn toggle_pause(&self) {
        self.tell(Command::TogglePause);
    }

    pub(crate) fn stop(&self) {
        self.tell(Command::Stop);
    }

    pub(crate) fn seek_by(&self, seconds: i64) {
        self.tell(Command::SeekBy(seconds));
    }

    pub(crate) fn seek_to(&self, position: Position) {
        self.tell(Command::SeekTo(position));
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings) + Send + 'static) {
        self.tell(Command::Change(Box::new(change)));
    }
}
