//! TLS 1.3 in which both ends prove an Ed25519 key and nothing else: a certificate is only the
//! envelope that TLS wants around a key. Names, issuers and dates in it mean nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureScheme,
};
use ticket::{Identity, PeerId};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Purpose;

/// What tunnels are called in ALPN.
const TUNNEL: &[u8] = b"braidcast-tunnel/1";
/// A longer certificate is refused unread, bytes. Our own are about 250.
const MAX_CERTIFICATE: usize = 1024;
/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const ED25519_SPKI: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];

/// The key that a certificate chain proves: one certificate, one Ed25519 key.
pub(crate) fn peer_of(chain: &[CertificateDer<'_>]) -> Result<PeerId, Error> {
    match chain {
        [one] => key_of(one),
        _ => Err(CertificateError::BadEncoding.into()),
    }
}

fn key_of(certificate: &CertificateDer<'_>) -> Result<PeerId, Error> {
    if certificate.len() > MAX_CERTIFICATE {
        return Err(CertificateError::BadEncoding.into());
    }
    let spki = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    spki.strip_prefix(&ED25519_SPKI)
        .and_then(|key| <[u8; 32]>::try_from(key).ok())
        .map(PeerId)
        .ok_or_else(|| CertificateError::BadEncoding.into())
}

fn alone(intermediates: &[CertificateDer<'_>]) -> Result<(), Error> {
    if intermediates.is_empty() { Ok(()) } else { Err(CertificateError::BadEncoding.into()) }
}

fn verify(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    provider: &CryptoProvider,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = &provider.signature_verification_algorithms;
    verify_tls13_signature(message, certificate, signature, algorithms)
}

/// Takes the peer that was dialled and no other.
#[derive(Debug)]
struct Expect {
    peer: PeerId,
    provider: Arc<CryptoProvider>,
    /// Set when somebody else answered.
    other: Arc<AtomicBool>,
}

impl ServerCertVerifier for Expect {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        alone(intermediates)?;
        if key_of(end_entity)? != self.peer {
            self.other.store(true, Ordering::Relaxed);
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, certificate, signature, &self.provider)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Takes whoever proves a key; who that may be is decided above TLS.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        alone(intermediates)?;
        key_of(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, certificate, signature, &self.provider)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// A node's side of TLS.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    key: Arc<CertifiedKey>,
}

/// One certificate for both directions.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl rustls::client::ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl rustls::server::ResolvesServerCert for Own {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl Tls {
    pub(crate) fn new(identity: &Identity) -> io::Result<Self> {
        let mut provider = aws_lc_rs::default_provider();
        // AES-128 first: the default prefers AES-256, which only costs here (numbers: ChaCha20 a
        // quarter more). One round trip needs one key share, and it must fit one packet.
        provider.cipher_suites = vec![
            aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
            aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
            aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ];
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
        let secret = PrivatePkcs8KeyDer::from(identity.to_pkcs8());
        let certificate = certificate(&secret).map_err(io::Error::other)?;
        let secret = PrivateKeyDer::Pkcs8(secret);
        let signer = provider.key_provider.load_private_key(secret).map_err(io::Error::other)?;
        let key = Arc::new(CertifiedKey::new(vec![certificate], signer));
        Ok(Self { provider: Arc::new(provider), key })
    }

    /// For inbound connections of these purposes.
    pub(crate) fn server(&self, accept: &[Purpose]) -> io::Result<QuicServerConfig> {
        let names = accept.iter().map(|purpose| purpose.alpn().to_vec()).collect();
        QuicServerConfig::try_from(self.accepting(names)?).map_err(io::Error::other)
    }

    /// For tunnels that others open.
    pub(crate) fn tunnel_acceptor(&self) -> io::Result<TlsAcceptor> {
        Ok(Arc::new(self.accepting(vec![TUNNEL.to_vec()])?).into())
    }

    /// For a tunnel to `peer`.
    pub(crate) fn tunnel_connector(&self, peer: PeerId) -> io::Result<TlsConnector> {
        Ok(Arc::new(self.dialling(peer, TUNNEL, Arc::default())?).into())
    }

    fn accepting(&self, names: Vec<Vec<u8>>) -> io::Result<rustls::ServerConfig> {
        let verifier = Arc::new(Anybody { provider: self.provider.clone() });
        let mut config = rustls::ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(Own(self.key.clone())));
        config.alpn_protocols = names;
        // A resumed session would skip the proof of keys.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// For one outbound connection to `peer`; `other` is set if somebody else answers.
    pub(crate) fn client(
        &self,
        peer: PeerId,
        purpose: Purpose,
        other: Arc<AtomicBool>,
    ) -> io::Result<QuicClientConfig> {
        let config = self.dialling(peer, purpose.alpn(), other)?;
        QuicClientConfig::try_from(config).map_err(io::Error::other)
    }

    fn dialling(
        &self,
        peer: PeerId,
        name: &[u8],
        other: Arc<AtomicBool>,
    ) -> io::Result<rustls::ClientConfig> {
        let verifier = Arc::new(Expect { peer, provider: self.provider.clone(), other });
        let mut config = rustls::ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(Own(self.key.clone())));
        config.alpn_protocols = vec![name.to_vec()];
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

fn certificate(secret: &PrivatePkcs8KeyDer<'_>) -> Result<CertificateDer<'static>, rcgen::Error> {
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(secret, &rcgen::PKCS_ED25519)?;
    let mut params = rcgen::CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(4000, 1, 1);
    Ok(params.self_signed(&pair)?.der().clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn certificate_of(identity: &Identity) -> CertificateDer<'static> {
        certificate(&PrivatePkcs8KeyDer::from(identity.to_pkcs8())).unwrap()
    }

    #[test]
    fn the_peer_id_is_the_key_in_the_certificate() {
        let identity = Identity::generate();
        let own = certificate_of(&identity);
        assert_eq!(peer_of(std::slice::from_ref(&own)), Ok(identity.id()));
        assert!(peer_of(&[]).is_err());
        assert!(peer_of(&[own.clone(), own]).is_err());
    }

    #[test]
    fn other_kinds_of_keys_are_refused() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let other = params.self_signed(&pair).unwrap().der().clone();
        assert!(key_of(&other).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
            let _ = key_of(&CertificateDer::from(bytes));
        }

        #[test]
        fn no_changed_certificate_panics(at in 0usize..300, to in any::<u8>()) {
            let own = certificate_of(&Identity::from_seed([7; 32]));
            let mut bytes = own.to_vec();
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = key_of(&CertificateDer::from(bytes));
        }
    }
}
