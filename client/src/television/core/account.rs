//! Signing in and out.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use link::{Login, SessionError};
use service::Stop;
use url::Url;

use super::super::tuner::Tuner;
use super::super::{Now, SignIn};
use super::{Core, SAVE, Seat};
use crate::channel::Channels;
use crate::platform::Platform as _;
use crate::player::Player;
use crate::problem::{self, Problem};
use crate::viewer::{Viewer, Wanted};
use crate::{Error, local};

/// Between two attempts to sign in by itself.
const SIGN_IN_AGAIN: Duration = Duration::from_secs(2);
/// How long the local address's last replies are waited for.
const SERVING: Duration = Duration::from_millis(500);

/// What comes of an attempt to sign in.
pub(super) type Signing = BoxFuture<'static, Result<Viewer, Failure>>;

/// Why nobody is signed in.
pub(super) enum Failure {
    /// No sign-in is remembered or configured.
    Nobody,
    /// It did not go.
    Failed(Error),
}

impl Core {
    pub(super) async fn sign_in(&mut self, sign_in: SignIn) {
        let SignIn { server, user, password, remember } = sign_in;
        self.unseat(false).await;
        self.settings.server = Some(server.clone());
        self.settings.user = Some(user.clone());
        self.settings.remember = remember;
        self.save.get_or_insert(Instant::now() + SAVE);
        self.by_hand = Some(server.clone());
        self.sign_in_at = None;
        self.refused = None;
        let wanted = Wanted {
            server,
            user: Some(user.clone()),
            login: Login::User { username: user, password },
            remember,
            share: crate::settings::Share::Off,
        };
        self.begin(Ok(wanted));
    }

    /// Signs in as configured, or as remembered.
    pub(super) fn sign_in_by_itself(&mut self) {
        self.by_hand = None;
        self.sign_in_at = None;
        let account = &self.config.account;
        let password = account.password.as_ref().and_then(|password| password.read().ok());
        let wanted = match (&self.config.server, &account.user, password) {
            (Some(server), Some(user), Some(password)) => Ok(Wanted {
                server: server.clone(),
                user: Some(user.clone()),
                login: Login::User {
                    username: user.clone(),
                    password: password.expose().to_owned(),
                },
                remember: account.remember,
                share: crate::settings::Share::Off,
            }),
            (server, ..) => Err(server.clone()),
        };
        self.begin(wanted);
    }

    /// Begins to sign in: as wanted, or as remembered for a server (`None`: any).
    fn begin(&mut self, wanted: Result<Wanted, Option<Url>>) {
        let (mut config, vault) = (self.config.clone(), self.vault.clone());
        config.network.repeaters_only |= self.settings.sharing.private;
        self.signing = Some(Box::pin(async move {
            let wanted = match wanted {
                Ok(wanted) => wanted,
                Err(server) => {
                    let last = vault.last().await;
                    let fits =
                        last.filter(|last| server.is_none_or(|server| server == last.server));
                    let last = fits.ok_or(Failure::Nobody)?;
                    Wanted {
                        server: last.server,
                        user: last.user,
                        login: Login::Refresh { token: last.refresh_token },
                        remember: true,
                        share: crate::settings::Share::Off,
                    }
                }
            };
            Viewer::sign_in(&config, vault, wanted, Instant::now()).await.map_err(Failure::Failed)
        }));
    }

    pub(super) async fn signed(&mut self, signed: Result<Viewer, Failure>) {
        let by_hand = self.by_hand.take();
        match signed {
            Ok(viewer) => self.sit(viewer, by_hand.is_some()).await,
            Err(Failure::Nobody) => {}
            Err(Failure::Failed(error)) => {
                tracing::info!(%error, "not signed in");
                self.refused = Some(match (&error, &by_hand) {
                    (Error::Session(SessionError::AuthUnreachable(_)), Some(server)) => {
                        let server = server.host_str().unwrap_or_default().to_owned();
                        Problem::WrongServer { server }
                    }
                    (error, _) => problem::of_error(error, ""),
                });
                let passing = matches!(
                    &error,
                    Error::Session(
                        SessionError::AuthUnreachable(_)
                            | SessionError::RendezvousUnreachable
                            | SessionError::TooMany(_)
                    ) | Error::Socket { .. }
                );
                if by_hand.is_none() && passing {
                    self.sign_in_at = Some(Instant::now() + SIGN_IN_AGAIN);
                }
            }
        }
    }

    /// Somebody is signed in.
    async fn sit(&mut self, viewer: Viewer, by_hand: bool) {
        self.refused = None;
        self.meter.restart();
        viewer.live.set_rendition(self.rendition());
        let state = viewer.live.state();
        let channels = Channels::new(viewer.live.clone(), self.config.local.max_channels);
        let player = Player::new(channels);
        let serving = Stop::new();
        let listen = self.config.local.listen;
        let serve = |listen| {
            let router = local::router(player.clone(), &self.config.local);
            service::serve(listen, router, serving.clone())
        };
        let (served, taken) = match serve(listen).await {
            Ok(served) => (Some(served), None),
            Err(_) => (serve(SocketAddr::new(listen.ip(), 0)).await.ok(), Some(listen)),
        };
        let (local, server) = served.unzip();
        let folder = self.config.cache_folder();
        let cache = self.settings.cache_bytes();
        let tuner = Tuner::new(self.shared.clone(), player.clone(), folder, cache);
        if self.settings.server.as_ref() != Some(&viewer.server) {
            self.settings.server = Some(viewer.server.clone());
            self.save.get_or_insert(Instant::now() + SAVE);
        }
        self.seat =
            Some(Seat { viewer, by_hand, state, tuner, player, serving, server, local, taken });
        self.chooses = true;
        self.share();
        self.choose();
    }

    /// Plays what was wanted, or the last channel, or the first, as soon as the line-up is known.
    pub(super) fn choose(&mut self) {
        let Some(seat) = self.seat.as_ref().filter(|_| self.chooses) else { return };
        let line_up = seat.viewer.live.line_up();
        if line_up.is_empty() {
            return;
        }
        self.chooses = false;
        let known: BTreeSet<&str> = line_up.iter().map(|info| info.id.as_str()).collect();
        let wanted = self.wanted.take().or_else(|| self.settings.last_channel.clone());
        let wanted = wanted.filter(|wanted| known.contains(wanted.as_str()));
        let first = || line_up.iter().find(|info| info.live).or(line_up.first());
        if let Some(channel) = wanted.or_else(|| first().map(|info| info.id.clone())) {
            self.zap(channel);
        }
    }

    pub(super) async fn sign_out(&mut self) {
        self.signing = None;
        self.sign_in_at = None;
        self.refused = None;
        match &mut self.seat {
            Some(seat) => seat.viewer.remember = false,
            None => self.vault.forget().await,
        }
        self.unseat(true).await;
    }

    /// Leaves the platform. `forget`: the sign-in ends, too.
    pub(super) async fn unseat(&mut self, forget: bool) {
        let Some(seat) = self.seat.take() else { return };
        let Seat { mut viewer, mut tuner, player, serving, server, .. } = seat;
        tuner.stop().stop().await;
        drop(tuner);
        *self.shared.now() = Now::default();
        serving.request();
        player.channels().close().await;
        if let Some(server) = server {
            let _ended = tokio::time::timeout(SERVING, server).await;
        }
        drop(player);
        if forget {
            viewer.remember = false;
        }
        viewer.leave().await;
    }

    /// The platform does not sign the viewer in any more.
    pub(super) async fn expelled(&mut self, why: &SessionError) {
        tracing::info!(%why, "the sign-in has ended");
        // It ends here too: what is remembered is of no use.
        self.unseat(true).await;
        self.refused = Some(match why {
            SessionError::WrongPassword => Problem::WrongPassword,
            _ => Problem::SessionExpired,
        });
    }
}
