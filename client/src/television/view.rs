//! What a window shows, whole and at one moment.

use std::net::SocketAddr;
use std::sync::Arc;

use link::protocol::ChannelInfo;
use url::Url;

use crate::choices::Settings;
use crate::guide::Guide;
use crate::problem::Problem;
use crate::sharing::Upload;
use crate::timeshift::Position;
use crate::vault::Kept;

/// What a window shows.
#[derive(Clone, PartialEq, Debug)]
pub struct View {
    /// What the program does.
    pub phase: Phase,
    /// What may be watched, in order of number.
    pub line_up: Vec<Channel>,
    /// Where in the channel the viewer is.
    pub transport: Transport,
    /// The viewer's choices.
    pub settings: Arc<Settings>,
    /// What is on.
    pub guide: Arc<Guide>,
    /// What is wrong, worst first; empty: all is well.
    pub problems: Vec<Problem>,
    /// What is sent to others.
    pub upload: Upload,
    /// The address for other players on this machine.
    pub local: Option<SocketAddr>,
    /// Who is signed in.
    pub account: Option<Account>,
}

/// What the program does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Nobody is signed in, and the program cannot do so by itself.
    SignInWanted,
    /// Signing in, or waiting to.
    SigningIn,
    /// Signed in; no channel is chosen.
    Choosing,
    /// A channel is on its way to its first picture.
    Starting {
        /// Its id.
        channel: String,
    },
    /// A channel plays, or is paused.
    Playing {
        /// Its id.
        channel: String,
    },
    /// A channel that played gives nothing at the moment: its last picture stands.
    Frozen {
        /// Its id.
        channel: String,
    },
    /// A channel cannot be played; the reason is among the problems.
    Stopped {
        /// Its id.
        channel: String,
    },
}

impl Phase {
    /// The channel that is chosen.
    pub fn channel(&self) -> Option<&str> {
        match self {
            Self::SignInWanted | Self::SigningIn | Self::Choosing => None,
            Self::Starting { channel }
            | Self::Playing { channel }
            | Self::Frozen { channel }
            | Self::Stopped { channel } => Some(channel),
        }
    }
}

/// A channel of the line-up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// The id.
    pub id: String,
    /// The name that people read.
    pub name: String,
    /// Position in the line-up, from 1.
    pub number: u32,
    /// The logo's address.
    pub logo: Option<String>,
    /// Whether it is on air.
    pub live: bool,
    /// Whether the viewer likes it.
    pub favourite: bool,
    /// Its renditions' names and bit rates (bits per second), best first.
    pub renditions: Vec<(String, u64)>,
}

impl Channel {
    pub(super) fn new(info: ChannelInfo, settings: &Settings) -> Self {
        let favourite = settings.favourites.contains(&info.id);
        let ChannelInfo { id, name, number, logo, live, renditions } = info;
        Self { id, name, number, logo, live, favourite, renditions }
    }
}

/// Where in the channel the viewer is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transport {
    /// How it moves.
    pub mode: Mode,
    /// Rises whenever the window must open a new [`Source`](crate::timeshift::Source).
    pub generation: u64,
    /// The oldest that can be shown.
    pub oldest: Option<Position>,
    /// The live edge.
    pub edge: Option<Position>,
    /// What is on the screen, as the window told last.
    pub shown: Option<Position>,
    /// Whether the beginning of what is on can still be shown.
    pub can_restart: bool,
    /// What the cache takes of the disk, bytes.
    pub on_disk: u64,
}

/// How the viewer moves through the channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// With everybody else.
    #[default]
    Live,
    /// Behind.
    Behind,
    /// Not at all.
    Paused,
}

/// Who is signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Auth's address.
    pub server: Url,
    /// The user's name, if it is known.
    pub user: Option<String>,
    /// The platform's name.
    pub platform: String,
    /// Where the sign-in is remembered.
    pub kept: Kept,
}

/// Somebody signs in.
#[derive(Clone)]
pub struct SignIn {
    /// Auth's address.
    pub server: Url,
    /// Name.
    pub user: String,
    /// Password.
    pub password: String,
    /// Whether to stay signed in from one run to the next.
    pub remember: bool,
}

/// What others want of the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Come to the front.
    Raise,
    /// End.
    Quit,
    /// Fill the screen, or not.
    FullScreen(bool),
}
