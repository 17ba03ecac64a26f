//! The peer: quinn as it comes, one unidirectional stream per shard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use tokio::time::MissedTickBehavior;

use crate::load::{K, Load, SEGMENT};

/// Handshakes that a receiver begins at most.
const TRIES: usize = 3;

/// Where the sender is, and the certificate it shows.
#[derive(Serialize, Deserialize)]
pub(crate) struct Place {
    address: SocketAddr,
    certificate: Vec<u8>,
}

/// Says where it is on stdout, then sends shards at the load's pace to whoever connects.
///
/// # Errors
/// If the socket cannot be bound.
pub(crate) async fn send(load: Load) -> Result<()> {
    let (certificate, config) = identity()?;
    let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse()?)?;
    let place = Place::new(endpoint.local_addr()?, &certificate);
    println!("{}", serde_json::to_string(&place)?);
    let shard: Arc<[u8]> = vec![0x5a; load.shard()].into();
    let start = tokio::time::Instant::now();
    while let Some(incoming) = endpoint.accept().await {
        let shard = shard.clone();
        tokio::spawn(async move {
            let connection = incoming.await?;
            // All at one moment, as when a segment arrives.
            let since = start.elapsed().as_nanos() / SEGMENT.as_nanos();
            let mut ticks = tokio::time::interval_at(start + SEGMENT * (since as u32 + 1), SEGMENT);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                for _ in 0..K {
                    let mut stream = connection.open_uni().await?;
                    stream.write_all(&shard).await?;
                    stream.finish()?;
                }
            }
            #[expect(unreachable_code, reason = "names the type of the block")]
            Ok::<_, anyhow::Error>(())
        });
    }
    Ok(())
}

/// A new certificate for a sender, and what it needs to show it.
///
/// # Errors
/// If none can be made.
pub(crate) fn identity() -> Result<(CertificateDer<'static>, quinn::ServerConfig)> {
    let made = rcgen::generate_simple_self_signed(vec!["bench".into()])?;
    let certificate = CertificateDer::from(made.cert);
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = quinn::ServerConfig::with_single_cert(vec![certificate.clone()], key.into())?;
    Ok((certificate, config))
}

/// Connects as many receivers and counts what they read.
///
/// # Errors
/// If the sender cannot be reached.
pub(crate) async fn receive(place: &Place, children: usize) -> Result<Arc<AtomicU64>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(place.certificate.clone()))?;
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_protocol_versions(&[&rustls::version::TLS13])?
    .with_root_certificates(roots)
    .with_no_client_auth();
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let bytes = Arc::new(AtomicU64::new(0));
    for _ in 0..children {
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse()?)?;
        let connection = connect(&endpoint, &config, place.address).await?;
        let bytes = bytes.clone();
        tokio::spawn(async move {
            let _endpoint = endpoint;
            while let Ok(mut stream) = connection.accept_uni().await {
                let bytes = bytes.clone();
                tokio::spawn(async move {
                    while let Ok(Some(chunk)) = stream.read_chunk(usize::MAX, false).await {
                        bytes.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
                    }
                });
            }
        });
    }
    Ok(bytes)
}

/// Who comes while the sender is busy with those before may be late for a handshake, and tries again.
async fn connect(
    endpoint: &quinn::Endpoint,
    config: &quinn::ClientConfig,
    to: SocketAddr,
) -> Result<quinn::Connection> {
    for _ in 1..TRIES {
        if let Ok(connection) = endpoint.connect_with(config.clone(), to, "bench")?.await {
            return Ok(connection);
        }
    }
    Ok(endpoint.connect_with(config.clone(), to, "bench")?.await?)
}

impl Place {
    /// Of a sender at this address.
    pub(crate) fn new(address: SocketAddr, certificate: &CertificateDer<'_>) -> Self {
        Self { address, certificate: certificate.to_vec() }
    }

    /// Reads what [`send`] said.
    ///
    /// # Errors
    /// If it is not a place.
    pub(crate) fn read(line: &str) -> Result<Self> {
        serde_json::from_str(line).context("the sender says where it is")
    }
}
