//! Two quinn endpoints with the same keys and the same TLS, and nothing in between.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, Endpoint};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{FRAME, Side};

/// A connection to the server.
#[derive(Clone)]
pub struct Bare {
    connection: Connection,
    _endpoints: [Endpoint; 2],
}

const LARGEST: usize = 1 << 20;

fn certificate() -> anyhow::Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    let certificate = rcgen::CertificateParams::new(vec!["bench".to_owned()])?.self_signed(&key)?;
    Ok((
        certificate.der().clone(),
        PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    ))
}

/// Starts both endpoints and connects them, each side checking the other's certificate.
pub async fn start() -> anyhow::Result<Bare> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let ((server_certificate, server_key), (client_certificate, client_key)) =
        (certificate()?, certificate()?);
    let trust = |certificate: &CertificateDer<'static>| {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        anyhow::Ok(Arc::new(roots))
    };
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
        trust(&client_certificate)?,
        Arc::clone(&provider),
    );
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients.build()?)
        .with_single_cert(vec![server_certificate.clone()], server_key)?;
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(trust(&server_certificate)?)
        .with_client_auth_cert(vec![client_certificate], client_key)?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server)?));
    let (client, server) = (
        quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(client)?)),
        Endpoint::server(server, any)?,
    );
    let dialling = Endpoint::client(any)?;
    let accepting = server.clone();
    tokio::task::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            if let Ok(connection) = incoming.await {
                tokio::task::spawn(serve(connection));
            }
        }
    });
    let connection = dialling
        .connect_with(client, server.local_addr()?, "bench")?
        .await?;
    Ok(Bare {
        connection,
        _endpoints: [server, dialling],
    })
}

/// A task per stream: streams of one direction are read to their end, requests are written back.
async fn serve(connection: Connection) {
    let requests = async {
        while let Ok((mut send, mut receive)) = connection.accept_bi().await {
            tokio::task::spawn(async move {
                let request = receive.read_to_end(LARGEST).await?;
                send.write_all(&request).await?;
                send.finish()?;
                anyhow::Ok(())
            });
        }
    };
    let streams = async {
        while let Ok(mut receive) = connection.accept_uni().await {
            let connection = connection.clone();
            tokio::task::spawn(async move {
                let mut buffer = vec![0; FRAME];
                while receive.read(&mut buffer).await?.is_some() {}
                connection.open_uni().await?.finish()?;
                anyhow::Ok(())
            });
        }
    };
    tokio::join!(requests, streams);
}

impl Side for Bare {
    async fn echo(&self) -> anyhow::Result<()> {
        let (mut send, mut receive) = self.connection.open_bi().await?;
        send.write_all(&[7; 64]).await?;
        send.finish()?;
        let answer = receive.read_to_end(LARGEST).await?;
        ensure!(answer == [7; 64], "another answer");
        Ok(())
    }

    async fn pour(&self, frames: usize) -> anyhow::Result<()> {
        let mut send = self.connection.open_uni().await?;
        let frame = vec![7; FRAME];
        for _ in 0..frames {
            send.write_all(&frame).await?;
        }
        send.finish()?;
        let mut end = self.connection.accept_uni().await?;
        end.read_to_end(0).await.context("the other side has read all")?;
        Ok(())
    }
}
