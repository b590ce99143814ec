//! A node made by hand: it has a key and speaks QUIC, and says on its streams whatever a test wants.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{DigitallySignedStruct, SignatureAlgorithm, SignatureScheme};
use types::PeerId;

/// What a node tells another one by ending a stream.
pub mod code {
    pub const REFUSED: u32 = 1;
    pub const MALFORMED: u32 = 2;
    pub const TOO_LARGE: u32 = 3;
    pub const DROPPED: u32 = 4;
    pub const STALLED: u32 = 5;
    /// Of a connection.
    pub const REMOVED: u32 = 17;
    /// Of a connection.
    pub const DUPLICATE: u32 = 18;
}

pub const MESSAGES: u8 = 1;
pub const REQUEST: u8 = 2;
pub const STREAM: u8 = 3;
pub const HELLO: u8 = 4;

/// The protocol of the chain `contract`.
pub const PROTOCOL: &[u8] = b"soma/1/636f6e7472616374";

/// The first bytes of a stream.
pub fn header(kind: u8, channel: u16) -> Vec<u8> {
    let [high, low] = channel.to_be_bytes();
    vec![kind, 0, high, low]
}

/// A frame, with its length in front.
pub fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a frame of a test is short");
    [&length.to_be_bytes()[..], body].concat()
}

/// Who a raw node says that it is.
pub struct Identity {
    pub id: PeerId,
    pub certificates: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            certificates: self.certificates.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl Identity {
    /// The identity that a node with the key seed `[seed; 32]` has.
    pub fn new(seed: u8) -> Self {
        Self::with_serial(seed, &[0x40 | seed & 0x3f; 16])
    }

    /// The same with another serial number in its certificate.
    pub fn with_serial(seed: u8, serial: &[u8]) -> Self {
        // RFC 8410: a seed of 32 bytes as PKCS#8 v1.
        let mut key = vec![
            0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
        ];
        key.extend([seed; 32]);
        let key = PrivatePkcs8KeyDer::from(key);
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519)
            .expect("a seed makes a key");
        Self::of(&pair, serial)
    }

    /// An identity whose key is of another algorithm.
    pub fn p256() -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key is made");
        Self::of(&pair, &[0x41; 16])
    }

    fn of(pair: &rcgen::KeyPair, serial: &[u8]) -> Self {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.serial_number = Some(rcgen::SerialNumber::from_slice(serial));
        let certificate = parameters.self_signed(pair).expect("a key signs").der().clone();
        let id = pair.public_key_raw().try_into().unwrap_or([0; 32]);
        Self {
            id: PeerId::new(id),
            certificates: vec![certificate],
            key: PrivatePkcs8KeyDer::from(pair.serialize_der()).into(),
        }
    }
}

/// A raw node's end of a socket.
pub struct Raw {
    pub endpoint: Endpoint,
    pub identity: Identity,
}

impl Raw {
    /// A raw node that only dials.
    pub fn new(seed: u8) -> Self {
        let endpoint = Endpoint::client(any_port()).expect("a socket");
        Self {
            endpoint,
            identity: Identity::new(seed),
        }
    }

    /// A raw node that is dialled too.
    pub fn listening(seed: u8, protocol: &[u8]) -> Self {
        let identity = Identity::new(seed);
        let mut tls = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3 is there")
            .with_no_client_auth()
            .with_single_cert(identity.certificates.clone(), identity.key.clone_key())
            .expect("the key fits");
        tls.alpn_protocols = vec![protocol.to_vec()];
        let tls = QuicServerConfig::try_from(tls).expect("TLS fits QUIC");
        let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        let endpoint = Endpoint::server(config, any_port()).expect("a socket");
        Self { endpoint, identity }
    }

    pub fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().expect("the socket has an address")
    }

    /// Dials as itself.
    pub async fn dial(&self, node: SocketAddr) -> Result<Connection, ConnectionError> {
        self.dial_as(Some(&self.identity), PROTOCOL, node).await
    }

    /// Dials as somebody, or as nobody.
    pub async fn dial_as(
        &self,
        identity: Option<&Identity>,
        protocol: &[u8],
        node: SocketAddr,
    ) -> Result<Connection, ConnectionError> {
        let connecting = self
            .endpoint
            .connect_with(client(identity, protocol), node, "soma");
        connecting.expect("the configuration is sound").await
    }

    /// Dials, and is let in.
    pub async fn connect(&self, node: SocketAddr) -> Connection {
        let connection = self.dial(node).await.expect("the handshake succeeds");
        let mut hello = connection.accept_uni().await.expect("the node says hello");
        let said = hello.read_to_end(16).await.expect("the hello is short");
        assert_eq!(said, header(HELLO, 0));
        connection
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn client(identity: Option<&Identity>, protocol: &[u8]) -> quinn::ClientConfig {
    let tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3 is there")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody));
    let mut tls = match identity {
        Some(identity) => tls.with_client_cert_resolver(Arc::new(Stubborn::new(identity))),
        None => tls.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![protocol.to_vec()];
    let tls = QuicClientConfig::try_from(tls).expect("TLS fits QUIC");
    quinn::ClientConfig::new(Arc::new(tls))
}

/// Why a node did not let a dialling one in. In TLS 1.3 the dialling side learns it after its own handshake.
pub async fn refusal(dialled: Result<Connection, ConnectionError>) -> ConnectionError {
    match dialled {
        Ok(connection) => connection.closed().await,
        Err(error) => error,
    }
}

/// Whether a handshake ended with this TLS alert of the other side.
pub fn is_alert(error: &ConnectionError, alert: u8) -> bool {
    let code = quinn::TransportErrorCode::crypto(alert);
    matches!(error, ConnectionError::ConnectionClosed(close) if close.error_code == code)
}

/// Whether the other side closed the connection with this code of ours.
pub fn is_closed(error: &ConnectionError, code: u32) -> bool {
    matches!(error, ConnectionError::ApplicationClosed(close) if close.error_code == code.into())
}

/// Opens a stream in one direction and says `bytes` on it.
pub async fn say(connection: &Connection, bytes: &[u8]) -> SendStream {
    let mut stream = connection.open_uni().await.expect("the connection stands");
    stream
        .write_all(bytes)
        .await
        .expect("the bytes fit into the window");
    stream
}

/// Opens a stream in both directions and says `bytes` on it.
pub async fn ask(connection: &Connection, bytes: &[u8]) -> (SendStream, RecvStream) {
    let (mut send, receive) = connection.open_bi().await.expect("the connection stands");
    send.write_all(bytes)
        .await
        .expect("the bytes fit into the window");
    (send, receive)
}

/// The code with which the node has ended what a raw node sends.
pub async fn stopped(send: &mut SendStream) -> u32 {
    let code = send.stopped().await.expect("the connection stands");
    let code = code.expect("the node does not want all of it");
    u32::try_from(code.into_inner()).expect("codes are small")
}

/// The code with which the node has reset what it sends.
pub async fn reset(receive: &mut RecvStream) -> u32 {
    let code = receive.received_reset().await.expect("the connection stands");
    let code = code.expect("the node has not finished it");
    u32::try_from(code.into_inner()).expect("codes are small")
}

/// Says that it is somebody whether or not that is wanted, and whether or not its key and its certificate fit.
#[derive(Debug)]
struct Stubborn(Arc<CertifiedKey>);

/// A key that signs as it can and not as it is asked to.
#[derive(Debug)]
struct StubbornKey(Arc<dyn SigningKey>);

impl Stubborn {
    fn new(identity: &Identity) -> Self {
        let key = provider().key_provider.load_private_key(identity.key.clone_key());
        let key = StubbornKey(key.expect("the key is one"));
        Self(Arc::new(CertifiedKey::new(
            identity.certificates.clone(),
            Arc::new(key),
        )))
    }
}

impl ResolvesClientCert for Stubborn {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl SigningKey for StubbornKey {
    fn choose_scheme(&self, _offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let own = [SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256];
        self.0.choose_scheme(&own)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

/// Takes whoever comes for somebody.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
