//! Several servers, one map: each says on a bus (Redis or Valkey, publish and subscribe) what happens
//! to the nodes connected to it, and hears what the others say.
//!
//! Nothing is stored on the bus: whoever joins it asks the others for everything they have, so that
//! the truth about a node is always with the server it is connected to. A bus that is lost, emptied
//! or restarted therefore loses nothing. See `docs/decisions/0105-shared-map.md`.

mod exchange;
mod message;
mod peers;
mod seal;

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use service::config::SecretText;
use url::Url;

pub use exchange::Exchange;
pub use message::{Envelope, Message};
pub use seal::Seal;

/// Something asked of the bus takes no longer, or the bus counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the bus is, and how the servers of one platform find and believe each other on it.
#[derive(Clone)]
pub struct Bus {
    client: redis::Client,
    /// Begins the names of all channels on the bus.
    prefix: String,
}

/// Why the bus cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not answer, or says no.
    #[error("{0}")]
    Redis(#[from] redis::RedisError),
    /// It does not answer in time.
    #[error("no answer within 2s")]
    Slow,
    /// The subscription has ended.
    #[error("the subscription has ended")]
    Ended,
}

impl Bus {
    /// A bus at `redis://HOST:PORT/`, with a password if it wants one.
    ///
    /// # Errors
    /// If that is no address of a Redis.
    pub fn new(url: &Url, password: Option<&SecretText>, prefix: &str) -> Result<Self, Error> {
        let mut url = url.clone();
        if let Some(password) = password {
            // Err is for addresses that cannot hold one; the client refuses these, too.
            let _ = url.set_password(Some(password.expose()));
        }
        Ok(Self { client: redis::Client::open(url.as_str())?, prefix: prefix.to_owned() })
    }

    fn everyone(&self) -> String {
        format!("{}:map", self.prefix)
    }

    fn only(&self, to: ticket::PeerId) -> String {
        format!("{}:map:{to}", self.prefix)
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, redis::aio::PubSub), Error> {
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let subscription = tokio::time::timeout(PATIENCE, self.client.get_async_pubsub());
        Ok((connection, subscription.await.map_err(|_| Error::Slow)??))
    }
}
