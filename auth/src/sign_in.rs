//! Signing in, going on, signing out: users and nodes.
//!
//! Each step leaves a line in the log for auditors: who and which session, never from where.

use std::net::IpAddr;
use std::time::Instant;

use ticket::{Location, PeerId, Role};

use crate::app::{App, Grant};
use crate::http::Problem;
use crate::names;
use crate::store::{Error, NodeSession, Rotation};

/// What a user gets.
pub(crate) struct Signed {
    pub(crate) ticket: String,
    pub(crate) refresh_token: String,
    pub(crate) expires_at: u64,
    pub(crate) location: Location,
}

/// What a node gets.
pub(crate) struct SignedNode {
    pub(crate) ticket: String,
    pub(crate) expires_at: u64,
    pub(crate) location: Location,
}

/// What a node says of itself.
pub(crate) struct NodeClaims<'a> {
    pub(crate) credential: &'a str,
    pub(crate) device: PeerId,
    pub(crate) quic: &'a [String],
    pub(crate) http: Option<&'a str>,
}

impl App {
    /// A user signs in with a password.
    pub(crate) async fn sign_in(
        &self,
        username: &str,
        password: &str,
        device: PeerId,
        from: IpAddr,
    ) -> Result<Signed, Problem> {
        if username.len() > names::USERNAME || password.len() > names::PASSWORD {
            return Err(Problem::wrong_credentials());
        }
        let store = self.store()?;
        let credentials = store.credentials(username).await?;
        // Asked for nobody, too: the time does not tell whether there is an account.
        let id = credentials.as_ref().map_or("", |account| &account.id);
        let known = store.is_known_device(id, &device.to_string()).await?;
        let attempt = self.limits.password(username, from, known.then_some(device.0)).await?;
        let hash = credentials.as_ref().map(|account| account.password_hash.as_str());
        let fits = match self.hasher.fits(password, hash).await {
            Ok(fits) => fits,
            Err(busy) => {
                attempt.void();
                return Err(busy.into());
            }
        };
        let Some(account) = credentials else { return Err(Problem::wrong_credentials()) };
        if !fits {
            tracing::info!(account = account.id, "sign-in refused: wrong password");
            return Err(Problem::wrong_credentials());
        }
        attempt.right();
        if account.disabled_at.is_some() {
            tracing::info!(account = account.id, "sign-in refused: the account is disabled");
            return Err(Problem::account_disabled());
        }
        let location = self.locate(from);
        let most = self.config.sessions.per_account;
        let session = store
            .start_session(&account.id, device, &location, most, self.clock.seconds())
            .await
            .map_err(|error| match error {
                // It was disabled or removed while its password was checked.
                Error::Missing(_) => Problem::account_disabled(),
                error => error.into(),
            })?;
        tracing::info!(account = account.id, session, "signed in");
        self.signed(account.id, session, 0, device, location).await
    }

    /// A user's ticket is renewed with a refresh token.
    pub(crate) async fn refresh(
        &self,
        token: &str,
        device: Option<PeerId>,
        from: IpAddr,
    ) -> Result<Signed, Problem> {
        let (session, generation) =
            self.refresh_tokens()?.read(token).ok_or_else(Problem::unknown_token)?;
        let location = self.locate(from);
        let seconds =
            |of: service::config::Duration| i64::try_from(of.as_secs()).unwrap_or(i64::MAX / 4);
        let (grace, idle) = (self.config.sessions.grace, self.config.sessions.idle);
        let rotation = self
            .store()?
            .rotate(
                &session,
                generation,
                device,
                &location,
                seconds(grace),
                seconds(idle),
                self.clock.seconds(),
            )
            .await?;
        match rotation {
            Rotation::Renewed { generation, account, device } => {
                tracing::debug!(account, session, generation, "renewed");
                self.signed(account, session, generation, device, location).await
            }
            Rotation::Ended(reason) => Err(Problem::session_ended(reason)),
            Rotation::Reused => {
                tracing::warn!(session, "a refresh token was used twice: the session was ended");
                self.changed().await;
                Err(Problem::session_ended("a refresh token was used twice"))
            }
            Rotation::OtherDevice => Err(Problem::other_device()),
            Rotation::Unknown => Err(Problem::unknown_token()),
        }
    }

    async fn signed(
        &self,
        account: String,
        session: String,
        generation: i64,
        device: PeerId,
        location: Location,
    ) -> Result<Signed, Problem> {
        let channels = self.store()?.account_channels(&account).await?;
        let refresh_token =
            self.refresh_tokens()?.make(&session, generation).ok_or_else(Problem::internal)?;
        let (ticket, expires_at) = self.sign(Grant {
            subject: account,
            session,
            device,
            role: Role::Viewer,
            channels,
            location,
        })?;
        Ok(Signed { ticket, refresh_token, expires_at, location })
    }

    /// A user signs out, showing a ticket or a refresh token. Twice does no harm.
    pub(crate) async fn sign_out(&self, session: &str) -> Result<(), Problem> {
        let alive = self.store()?.end_session(session, "signed out", self.clock.seconds()).await?;
        if alive {
            tracing::info!(session, "signed out");
            self.metrics.sign_outs.inc();
            self.changed().await;
        }
        Ok(())
    }

    /// A node signs in, or renews its ticket, with its credential.
    pub(crate) async fn sign_in_node(
        &self,
        claims: NodeClaims<'_>,
        from: IpAddr,
    ) -> Result<SignedNode, Problem> {
        let store = self.store()?;
        let Some(node) = store.node_by_credential(claims.credential).await? else {
            self.limits.wrong_credential(from, Instant::now())?;
            return Err(Problem::wrong_credential());
        };
        if node.revoked {
            tracing::info!(node = node.name, "sign-in refused: the node was revoked");
            return Err(Problem::node_revoked());
        }
        let location = self.locate_node(from, claims.quic);
        let listed = node.role == Role::Rendezvous;
        let session = NodeSession {
            node: &node.name,
            device: claims.device,
            location,
            quic: claims.quic,
            http: claims.http,
            listed,
        };
        let session = store.node_session(&session, self.clock.seconds()).await.map_err(
            |error| match error {
                Error::Missing(_) => Problem::node_revoked(),
                error => error.into(),
            },
        )?;
        if listed {
            // Who asks next finds it.
            self.changed().await;
        }
        tracing::debug!(node = node.name, session, "node signed in");
        let (ticket, expires_at) = self.sign(Grant {
            subject: format!("node:{}", node.name),
            session,
            device: claims.device,
            role: node.role,
            channels: node.channels,
            location,
        })?;
        Ok(SignedNode { ticket, expires_at, location })
    }

    /// Nodes are placed by the address seen; where nothing is known of it (a private network
    /// between containers), by the one that they advertise.
    fn locate_node(&self, from: IpAddr, quic: &[String]) -> Location {
        let seen = self.locate(from);
        if seen != Location::default() {
            return seen;
        }
        let advertised = quic.iter().filter_map(|at| at.parse::<std::net::SocketAddr>().ok());
        advertised
            .map(|at| self.locator.locate(at.ip()))
            .find(|location| *location != Location::default())
            .unwrap_or_default()
    }

    /// Tells those who wait of what this process has just changed; if that fails, the next look
    /// at the database does it.
    pub(crate) async fn changed(&self) {
        if let Err(error) = self.reload().await {
            tracing::debug!(%error, "the change is published later");
        }
    }
}
