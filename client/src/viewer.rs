//! A viewer that has signed in: its node, its session, and the sign-in that is remembered.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use link::{Login, Meeting, Node, NodeConfig, Session, SessionConfig, SessionError};
use ticket::{Identity, Role};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::Error;
use crate::account::Remembered;
use crate::good_peers::GoodPeers;
use crate::platform::Live;
use crate::settings::{Config, Share};
use crate::uplinks::{self, Uplinks};
use crate::vault::Vault;

/// Between two attempts while something cannot be reached: whoever waits is in soon after it is back.
const AGAIN: Duration = Duration::from_millis(500);
/// How long leaving may take.
const LEAVING: Duration = Duration::from_secs(3);

/// Who signs in where.
pub(crate) struct Wanted {
    pub(crate) server: Url,
    pub(crate) user: Option<String>,
    pub(crate) login: Login,
    /// Whether to stay signed in from one run to the next.
    pub(crate) remember: bool,
    /// What may be sent to others.
    pub(crate) share: Share,
}

/// A viewer that has signed in.
pub(crate) struct Viewer {
    pub(crate) live: Arc<Live>,
    pub(crate) vault: Vault,
    pub(crate) server: Url,
    pub(crate) user: Option<String>,
    pub(crate) remember: bool,
    remembered: Option<String>,
    uplinks: Uplinks,
    /// Ends with the viewer.
    _keeping: AbortOnDropHandle<()>,
}

impl Viewer {
    /// Signs in; tries again until `patience` while something cannot be reached. A remembered sign-in that is refused is
    /// forgotten.
    pub(crate) async fn sign_in(
        config: &Config,
        vault: Vault,
        wanted: Wanted,
        patience: Instant,
    ) -> Result<Self, Error> {
        let Wanted { server, user, login, remember, share } = wanted;
        let identity = identity(config)?;
        let bind = config.network.bind;
        // Nobody could be sent anything.
        let share = if config.network.repeaters_only { Share::Off } else { share };
        let meeting = Meeting {
            port_mapping: config.network.port_mapping,
            servers_only: config.network.repeaters_only,
        };
        let node = NodeConfig {
            identity: Arc::new(identity),
            bind,
            role: Role::Viewer,
            platform: String::new(),
            max_connections: config.network.max_connections,
            max_egress: Some(share.uplink()),
            admit: None,
            meeting,
        };
        let node = start(node).await.map_err(|source| Error::Socket { bind, source })?;
        let by_token = matches!(login, Login::Refresh { .. });
        let session = SessionConfig {
            auth: server.clone(),
            bind: config.network.http_bind(),
            login,
            advertise: Vec::new(),
            software: concat!("braidcast/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let begun = again(patience, || async {
            Ok(Session::start(node.clone(), session.clone(), false).await?)
        });
        let session = match begun.await {
            Ok(session) => session,
            Err(error) => {
                node.shutdown().await;
                return Err(match error {
                    Error::Session(
                        refused @ (SessionError::WrongPassword | SessionError::Refused(_)),
                    ) if by_token => {
                        vault.forget().await;
                        Error::Forgotten(refused.to_string())
                    }
                    error => error,
                });
            }
        };
        let playback = &config.playback;
        let (tell, guide) = tokio::sync::watch::channel(Arc::default());
        tokio::spawn(crate::guide::follow(server.clone(), config.network.http_bind(), tell));
        let (tell, filled) = tokio::sync::watch::channel(Arc::default());
        tokio::spawn(crate::guide::fill(guide, session.state(), tell));
        let rendition = playback.rendition.clone();
        let uplinks = Uplinks::open(&config.state_folder());
        let keeping = tokio::spawn(uplinks::keep(node.clone(), uplinks.clone()));
        let _keeping = AbortOnDropHandle::new(keeping);
        let good = GoodPeers::open(&config.state_folder());
        let live = Live::new(node, session, rendition, playback.spares, share, filled, good);
        let remembered = None;
        let mut viewer =
            Self { live, vault, server, user, remember, remembered, uplinks, _keeping };
        viewer.remember().await;
        Ok(viewer)
    }

    /// Keeps the sign-in for the next start, if it is new. Gives whether it is kept.
    pub(crate) async fn remember(&mut self) {
        let Some(token) = self.live.refresh_token().filter(|_| self.remember) else { return };
        if self.remembered.as_ref() == Some(&token) {
            return;
        }
        let kept = Remembered {
            server: self.server.clone(),
            user: self.user.clone(),
            refresh_token: token.clone(),
        };
        match self.vault.keep(&kept).await {
            Ok(()) => self.remembered = Some(token),
            Err(error) => tracing::warn!(error = ?error, "cannot keep the sign-in"),
        }
    }

    /// Leaves the platform, signed in for the next start or signed out, and waits until what is kept is on disk. Its channels
    /// are to be left before.
    pub(crate) async fn leave(mut self) {
        self.remember().await;
        let Self { live, vault, remember, uplinks, .. } = self;
        let leaving = async {
            live.close(!remember).await;
            uplinks.written().await;
            live.good_peers().written().await;
        };
        if tokio::time::timeout(LEAVING, leaving).await.is_err() {
            tracing::warn!("leaving took too long");
        }
        if !remember {
            vault.forget().await;
        }
    }
}

/// The device's key. One that is none is put aside, and there is a new one: it never keeps anybody from watching. But where
/// the configuration names the file, somebody else is in charge of it.
fn identity(config: &Config) -> Result<Identity, Error> {
    let path = config.identity_file();
    let failed = |source| Error::State { path: path.clone(), source };
    let is_none = |kind| matches!(kind, ErrorKind::InvalidData | ErrorKind::IsADirectory);
    match Identity::load_or_create(&path) {
        Err(error) if config.identity.is_none() && is_none(error.kind()) => {
            tracing::warn!(%error, "this device's key cannot be read and is made anew");
            std::fs::rename(&path, path.with_extension("broken")).map_err(failed)?;
            Identity::load_or_create(&path).map_err(failed)
        }
        identity => identity.map_err(failed),
    }
}

/// Starts the node; where the system has no IPv6, without it.
async fn start(mut config: NodeConfig) -> std::io::Result<Node> {
    let both = config.bind.ip() == Ipv6Addr::UNSPECIFIED;
    match Node::start(config.clone()).await {
        Err(_) if both => {
            config.bind.set_ip(Ipv4Addr::UNSPECIFIED.into());
            Node::start(config).await
        }
        started => started,
    }
}

/// Tries again, as long as there is patience, while something of the platform cannot be reached. Says once what.
pub(crate) async fn again<T, F>(patience: Instant, attempt: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut told = None;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let passing = matches!(
            error,
            Error::Session(
                SessionError::AuthUnreachable(_)
                    | SessionError::RendezvousUnreachable
                    | SessionError::NoSuchChannel(_)
                    | SessionError::TooMany(_)
            )
        );
        if !passing || Instant::now() + AGAIN > patience {
            return Err(error);
        }
        let text = error.to_string();
        if told.as_ref() != Some(&text) {
            eprintln!("{text}; trying again");
            told = Some(text);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_broken_key_is_put_aside_unless_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let mut config =
            Config { state: Some(folder.path().to_owned()), identity: None, ..Config::default() };
        let first = identity(&config).unwrap().id();
        assert_eq!(identity(&config).unwrap().id(), first);
        for broken in [&b""[..], b"notes", b"\xff\xfe", &[b'A'; 5000]] {
            std::fs::write(&path, broken).unwrap();
            let made = identity(&config).unwrap().id();
            assert_ne!(made, first);
            assert_eq!(identity(&config).unwrap().id(), made, "from then on it stays");
            assert_eq!(std::fs::read(folder.path().join("identity.broken")).unwrap(), broken);
        }
        std::fs::write(&path, "notes").unwrap();
        config.identity = Some(path.clone());
        assert!(matches!(identity(&config), Err(Error::State { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"notes");
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_reached_is_tried_again_what_is_refused_is_not() {
        let calls = AtomicUsize::new(0);
        let patience = Instant::now() + Duration::from_secs(60);
        let up_at_third = again(patience, || async {
            match calls.fetch_add(1, Ordering::Relaxed) {
                0 => Err(SessionError::AuthUnreachable("x".into()).into()),
                1 => Err(SessionError::RendezvousUnreachable.into()),
                n => Ok(n),
            }
        });
        assert_eq!(up_at_third.await.unwrap(), 2);
        let refused = again(patience, || async {
            calls.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(SessionError::WrongPassword.into())
        });
        assert!(refused.await.is_err());
        assert_eq!(calls.load(Ordering::Relaxed), 4);
        let impatient = again(Instant::now(), || async {
            Err::<(), _>(SessionError::AuthUnreachable("auth-url".into()).into())
        });
        let error = impatient.await.unwrap_err().to_string();
        assert_eq!(error, "auth at auth-url cannot be reached");
    }
}
