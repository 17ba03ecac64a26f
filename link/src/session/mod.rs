//! A node's session with the platform: sign-in at auth, one rendezvous at a time, ticket, keys and clock kept fresh.

use std::net::{IpAddr, SocketAddr};

use segment::ContentKey;
use tokio::sync::watch;
use url::Url;

use crate::protocol::{ChannelInfo, Publication};
use crate::{JoinSpec, Node, Swarm};

/// How a node proves itself to auth.
#[derive(Clone)]
pub enum Login {
    /// A viewer.
    User {
        /// Name.
        username: String,
        /// Password.
        password: String,
    },
    /// A viewer who signed in before.
    Refresh {
        /// The refresh token, used once; [`Session::refresh_token`] gives its successor.
        token: String,
    },
    /// A headend or repeater.
    Node {
        /// What `braidcast-auth node add` printed.
        credential: String,
    },
}

/// A session's configuration.
#[derive(Clone)]
pub struct SessionConfig {
    /// Auth's address; all else is found there.
    pub auth: Url,
    /// The local address that outgoing HTTP uses; `None`: the system's choice.
    pub bind: Option<IpAddr>,
    /// Who signs in.
    pub login: Login,
    /// Addresses that others should use for this node.
    pub advertise: Vec<SocketAddr>,
    /// Program and version.
    pub software: String,
}

/// Why something cannot be had. The text is what the user is shown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionError {
    /// Nobody answers at auth's address.
    #[error("auth at {0} cannot be reached")]
    AuthUnreachable(String),
    /// No rendezvous answers.
    #[error("rendezvous cannot be reached")]
    RendezvousUnreachable,
    /// Wrong user, password or credential.
    #[error("wrong user or password")]
    WrongPassword,
    /// Wrong or revoked node credential.
    #[error("credential is not valid: {0}")]
    Credential(String),
    /// Too many attempts.
    #[error("too many attempts; try again in {0} s")]
    TooMany(u64),
    /// Rendezvous or auth refused, with its reason.
    #[error("{0}")]
    Refused(String),
    /// Not in the package.
    #[error("channel {0} is not in your package")]
    NotEntitled(String),
    /// Not known, or not on air.
    #[error("channel {0} is not on air")]
    NoSuchChannel(String),
}

/// How the session is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionState {
    /// Whether auth answered last time.
    pub auth: bool,
    /// Whether rendezvous is connected.
    pub rendezvous: bool,
    /// What is missing, for people; `None` if nothing is.
    pub missing: Option<String>,
    /// What may be watched, carried or published.
    pub line_up: Vec<ChannelInfo>,
}

/// A channel that was joined.
pub struct Joined {
    /// The swarm.
    pub swarm: Swarm,
    /// How it was joined.
    pub spec: JoinSpec,
    /// The rendition's name.
    pub rendition: String,
    /// Content keys: the epoch now and the next; renewed in good time. Empty for repeaters.
    pub keys: watch::Receiver<Vec<ContentKey>>,
}

/// What the joiner decides about its part in a swarm.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// As in [`JoinSpec`].
    pub uplink: Option<u64>,
    /// As in [`JoinSpec`].
    pub max_pushed: Option<u32>,
    /// As in [`JoinSpec`].
    pub serve: swarm::Serve,
    /// As in [`JoinSpec`].
    pub max_spares: u8,
}

/// A node's session with the platform. Dropping it signs the node off at rendezvous.
pub struct Session {
    _private: (),
}

impl Session {
    /// Signs in and finds a rendezvous. Gives up only when refused; what cannot be reached is tried
    /// again for ever if `patient`, else reported at once.
    ///
    /// # Errors
    /// What refused, or (unless `patient`) cannot be reached.
    pub async fn start(
        node: Node,
        config: SessionConfig,
        patient: bool,
    ) -> Result<Self, SessionError> {
        let _ = (node, config, patient);
        todo!()
    }

    /// How the session is, and each change.
    pub fn state(&self) -> watch::Receiver<SessionState> {
        todo!()
    }

    /// The refresh token to keep for the next start (viewers).
    pub fn refresh_token(&self) -> Option<String> {
        todo!()
    }

    /// Joins a rendition of a channel; peers are asked for and the swarm reported as long as it lives.
    ///
    /// # Errors
    /// If rendezvous refuses or cannot be reached within 5 s.
    pub async fn join(
        &self,
        channel: &str,
        rendition: Option<&str>,
        part: Part,
    ) -> Result<Joined, SessionError> {
        let _ = (channel, rendition, part);
        todo!()
    }

    /// Headend only: announces a rendition and takes part in its swarm. `keys` gives the content keys of the epoch now
    /// and the next when they are to be announced again.
    ///
    /// # Errors
    /// If rendezvous refuses.
    pub async fn publish(
        &self,
        publication: watch::Receiver<Publication>,
        part: Part,
    ) -> Result<Swarm, SessionError> {
        let _ = (publication, part);
        todo!()
    }

    /// Signs out at auth and rendezvous.
    pub async fn sign_out(self) {
        todo!()
    }
}
