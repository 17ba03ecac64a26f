//! What can keep a viewer from playing.

use std::path::PathBuf;

use link::SessionError;

/// Why something could not be played. The text is what the user is shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The platform refused or cannot be reached.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The remembered sign-in does not hold any more.
    #[error(
        "the remembered sign-in is no longer valid ({0}); sign in again with --user and --password-file"
    )]
    Forgotten(String),
    /// More channels are asked for at one time than the configuration allows.
    #[error("{0} channels are being received already (local.max_channels)")]
    TooManyChannels(usize),
    /// The channel was joined and nothing of it came.
    #[error("nothing of channel {channel} arrived within {seconds} s")]
    NothingCame {
        /// The channel.
        channel: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The channel was left, for a reason that its session knows.
    #[error("channel {0} has ended")]
    Ended(String),
    /// The user stopped before anything was played.
    #[error("stopped before the first segment came")]
    Stopped,
    /// A file of the state folder cannot be used.
    #[error("cannot use {path}")]
    State {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The UDP address cannot be used.
    #[error("cannot use UDP address {bind}")]
    Socket {
        /// Which.
        bind: std::net::SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Another viewer uses the state folder.
    #[error(
        "another viewer is running with the state folder {0}; give this one its own with --state"
    )]
    Locked(PathBuf),
    /// The output file cannot be written.
    #[error("cannot write {path}")]
    Output {
        /// The file.
        path: PathBuf,
        /// What the system says, or that it is too slow.
        #[source]
        source: std::io::Error,
    },
}
