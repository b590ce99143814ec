//! Who is at the other end: raw ed25519 keys in self-signed certificates, checked by both sides.
//!
//! A certificate says nothing but its key and, in its serial number, the incarnation that made it. What counts is the
//! signature of the TLS handshake, which proves possession of the key and covers the chain (in the ALPN field).

use std::fmt;
use std::sync::Arc;

use env::Entropy;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use types::PeerId;

use crate::entropy::OsEntropy;

/// Tells the incarnations of one key apart.
pub(super) type Incarnation = [u8; 16];

/// What PKCS#8 v1 puts in front of the 32 bytes of an ed25519 seed (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// This node's key, with what TLS needs of it.
pub(super) struct Identity {
    pub(super) id: PeerId,
    key: PrivateKeyDer<'static>,
    pub(super) certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
    protocol: Vec<u8>,
}

impl Identity {
    /// The identity of the seed, for the chain, in a fresh incarnation.
    pub(super) fn new(seed: &[u8; 32], chain: &[u8]) -> Result<Self, rcgen::Error> {
        let key = PrivatePkcs8KeyDer::from([&PKCS8_PREFIX[..], seed].concat());
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519)?;
        let id = pair
            .public_key_raw()
            .try_into()
            .map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        let mut incarnation: Incarnation = [0; 16];
        OsEntropy.fill("incarnation", &mut incarnation);
        // A positive number of exactly 16 bytes has one encoding.
        incarnation[0] = incarnation[0] & 0x3f | 0x40;
        let mut parameters = rcgen::CertificateParams::default();
        parameters.serial_number = Some(rcgen::SerialNumber::from_slice(&incarnation));
        let certificate = parameters.self_signed(&pair)?.der().clone();
        let mut protocol = b"soma/1/".to_vec();
        protocol.extend(
            chain
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .map(|digit| b"0123456789abcdef"[usize::from(digit)]),
        );
        Ok(Self {
            id: PeerId::new(id),
            key: key.into(),
            certificate,
            provider: Arc::new(ring::default_provider()),
            protocol,
        })
    }

    /// TLS for the side that is dialled: `allowed` says which keys may come in.
    pub(super) fn server(
        &self,
        allowed: impl Fn(PeerId) -> bool + Send + Sync + 'static,
    ) -> Result<QuicServerConfig, Error> {
        let verifier = Verifier {
            allowed: Box::new(allowed),
            algorithms: self.provider.signature_verification_algorithms,
        };
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        tls.alpn_protocols = vec![self.protocol.clone()];
        // A resumed session would not pass the verifier, hence not the present allow-list.
        tls.send_tls13_tickets = 0;
        tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        tls.max_early_data_size = 0;
        QuicServerConfig::try_from(tls).map_err(|error| Error::General(error.to_string()))
    }

    /// TLS for dialling `peer` and nobody else.
    pub(super) fn client(&self, peer: PeerId) -> Result<QuicClientConfig, Error> {
        let verifier = Verifier {
            allowed: Box::new(move |id| id == peer),
            algorithms: self.provider.signature_verification_algorithms,
        };
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        tls.alpn_protocols = vec![self.protocol.clone()];
        tls.resumption = rustls::client::Resumption::disabled();
        QuicClientConfig::try_from(tls).map_err(|error| Error::General(error.to_string()))
    }
}

/// The key and the incarnation at the other end of a connection whose handshake is complete.
pub(super) fn peer_of(connection: &quinn::Connection) -> Option<(PeerId, Incarnation)> {
    let certificates = connection
        .peer_identity()?
        .downcast::<Vec<CertificateDer<'static>>>()
        .ok()?;
    read(certificates.first()?).ok()
}

/// The key and the incarnation that a certificate names.
pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<(PeerId, Incarnation), Error> {
    let malformed = || Error::InvalidCertificate(CertificateError::BadEncoding);
    let (rest, certificate) = x509_parser::parse_x509_certificate(certificate).map_err(|_| malformed())?;
    let key = &certificate.tbs_certificate.subject_pki;
    if !rest.is_empty() || key.algorithm.algorithm != x509_parser::oid_registry::OID_SIG_ED25519 {
        return Err(malformed());
    }
    let id: [u8; 32] = key.subject_public_key.data[..]
        .try_into()
        .map_err(|_| malformed())?;
    let incarnation = certificate.raw_serial().try_into().map_err(|_| malformed())?;
    Ok((PeerId::new(id), incarnation))
}

/// Lets in whom `allowed` names, and checks the handshake's signature by the key of the certificate.
struct Verifier {
    allowed: Box<dyn Fn(PeerId) -> bool + Send + Sync>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let (id, _) = read(certificate)?;
        if intermediates.is_empty() && (self.allowed)(id) {
            Ok(())
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

/// TLS 1.2 is not offered, so its signatures are never asked about.
fn tls12() -> Error {
    Error::General("TLS 1.2 is not spoken here".into())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(certificate, intermediates)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(certificate, intermediates)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
