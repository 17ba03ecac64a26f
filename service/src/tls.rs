//! TLS for the HTTP side: a certificate chain and its key in PEM files, read again when they are
//! replaced, so that whatever renews certificates needs to tell nobody.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Deserialize;

use crate::Stop;
use crate::config::Problems;
use crate::metrics::Registry;
use crate::metrics::prometheus_client::metrics::gauge::Gauge;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Which files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The certificate and what leads to its root, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, or holds something else.
    #[error("cannot read {path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Certificate and key do not belong together, or the key is of no known kind.
    #[error("certificate and key do not fit: {0}")]
    Mismatch(#[from] rustls::Error),
}

impl Files {
    /// Adds a problem under `key` if the files cannot be used.
    pub fn check(&self, key: &str, problems: &mut Problems) {
        if let Err(error) = self.read() {
            problems.add(key, error.to_string());
        }
    }

    fn read(&self) -> Result<(CertifiedKey, i64), Error> {
        let file = |path: &Path, why: String| Error::File { path: path.to_owned(), why };
        let (certificate, key) = (&self.certificate, &self.key);
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(|error| file(certificate, error.to_string()))?;
        let first =
            chain.first().ok_or_else(|| file(certificate, "it holds no certificate".into()))?;
        let ends = x509_parser::parse_x509_certificate(first)
            .map_err(|error| file(certificate, error.to_string()))?
            .1
            .validity()
            .not_after
            .timestamp();
        let key =
            PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, error.to_string()))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Ok((CertifiedKey::from_der(chain, key, &provider)?, ends))
    }

    /// Something that differs when a file was replaced.
    fn state(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let data = std::fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len()))
        })
    }
}

/// A certificate in use.
#[derive(Clone)]
pub struct Tls {
    files: Files,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
    ends: Gauge<i64, AtomicI64>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn load(files: Files) -> Result<Self, Error> {
        let (key, ends) = files.read()?;
        let current = Arc::new(Current(ArcSwap::from_pointee(key)));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let gauge = Gauge::default();
        gauge.set(ends);
        Ok(Self { files, current, config: Arc::new(config), ends: gauge })
    }

    /// What connections are accepted with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Shows when the certificate ends.
    pub fn register(&self, registry: &Registry) {
        registry.register(
            "certificate_expires_timestamp_seconds",
            "When the certificate of the HTTP side ends, seconds since 1970",
            self.ends.clone(),
        );
    }

    /// Reads the files again whenever they are replaced, until the stop. Files that cannot be used
    /// leave the certificate as it was; that is logged.
    pub async fn follow(self, stop: Stop) {
        let mut known = self.files.state();
        loop {
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let state = self.files.state();
            if state == known {
                continue;
            }
            match self.files.read() {
                Ok((key, ends)) => {
                    self.current.0.store(Arc::new(key));
                    self.ends.set(ends);
                    tracing::info!(file = %self.files.certificate.display(), "new certificate");
                    known = state;
                }
                // Perhaps the other file is not there yet: looked at again in a moment.
                Err(error) => tracing::warn!(%error, "the certificate stays as it was"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn write(folder: &Path, name: &str) -> Files {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let files = Files { certificate: folder.join("chain.pem"), key: folder.join("key.pem") };
        let pem = |what: &str, der: &[u8]| {
            let text = STANDARD.encode(der);
            format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n")
        };
        std::fs::write(&files.certificate, pem("CERTIFICATE", made.cert.der())).unwrap();
        let key = made.signing_key.serialize_der();
        std::fs::write(&files.key, pem("PRIVATE KEY", &key)).unwrap();
        files
    }

    #[tokio::test]
    async fn replaced_files_are_used_and_broken_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = write(folder.path(), "one.example");
        let tls = Tls::load(files.clone()).unwrap();
        let first = tls.current.0.load_full();
        let stop = Stop::new();
        let following = tokio::spawn(tls.clone().follow(stop.clone()));
        std::fs::write(&files.certificate, "nothing of the kind").unwrap();
        tokio::time::sleep(LOOK + LOOK / 2).await;
        assert_eq!(tls.current.0.load().cert, first.cert);
        write(folder.path(), "two.example.of.another.length");
        let changed = async {
            while tls.current.0.load().cert == first.cert {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), changed).await.unwrap();
        assert!(tls.ends.get() > 0);
        stop.request();
        following.await.unwrap();
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = write(folder.path(), "one.example");
        let other = tempfile::tempdir().unwrap();
        let mixed = Files { key: write(other.path(), "x").key, ..files.clone() };
        assert!(matches!(Tls::load(mixed), Err(Error::Mismatch(_))));
        let absent = Files { key: folder.path().join("none"), ..files };
        let said = Tls::load(absent).err().unwrap().to_string();
        assert!(said.contains("none"), "{said}");
    }
}
