//! Who is let in, who is not, and what both sides are told.

use std::time::Duration;

use env::{Env, Network, NetworkError, PeerAddress};
use quinn::ConnectionError;
use runtime::network::{Fault, Offences};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use testkit::contract::{PATIENCE, soon};

use crate::raw::{Identity, PROTOCOL, REQUEST, Raw, ask, code, header, is_alert, is_closed, refusal};
use crate::scene::{QUIET, Scene, on_scene};
use crate::world::{TestEnv, block_on, config, started};

// TLS alerts (RFC 8446, section 6).
const BAD_CERTIFICATE: u8 = 42;
const ACCESS_DENIED: u8 = 49;
const DECRYPT_ERROR: u8 = 51;
const CERTIFICATE_REQUIRED: u8 = 116;
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// Why the node refuses whoever dials as `identity`.
async fn refused(scene: &Scene, identity: Option<&Identity>, protocol: &[u8]) -> ConnectionError {
    let node = scene
        .node
        .env
        .network()
        .local_address()
        .expect("the node listens");
    let dialled = async { refusal(scene.raw.dial_as(identity, protocol, node).await).await };
    soon(&scene.node.env, "the refusal", dialled).await
}

#[test]
fn who_does_not_prove_a_key_of_the_list_is_not_let_in() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let listed = &scene.raw.identity;
            let stranger = Identity::new(9);
            let stolen = Identity {
                key: stranger.key.clone_key(),
                ..listed.clone()
            };
            let mut chain = listed.clone();
            chain.certificates.push(stranger.certificates[0].clone());
            let garbage = Identity {
                certificates: vec![CertificateDer::from(vec![0x30; 300])],
                ..listed.clone()
            };
            let p256 = Identity::p256();
            let cases = [
                ("a stranger", Some(&stranger), ACCESS_DENIED),
                ("another's certificate", Some(&stolen), DECRYPT_ERROR),
                ("a certificate behind its own", Some(&chain), ACCESS_DENIED),
                ("a key of another algorithm", Some(&p256), BAD_CERTIFICATE),
                (
                    "a short serial number",
                    Some(&Identity::with_serial(3, &[1; 8])),
                    BAD_CERTIFICATE,
                ),
                (
                    "a long serial number",
                    Some(&Identity::with_serial(3, &[1; 20])),
                    BAD_CERTIFICATE,
                ),
                ("what is no certificate", Some(&garbage), BAD_CERTIFICATE),
                ("nobody", None, CERTIFICATE_REQUIRED),
            ];
            let mut failed = 0;
            for (name, identity, alert) in cases {
                let refusal = refused(scene, identity, PROTOCOL).await;
                assert!(is_alert(&refusal, alert), "{name}: {refusal}");
                failed += 1;
            }
            for protocol in [&b"soma/1/00"[..], b"soma/2/636f6e7472616374", b"h3"] {
                let refusal = refused(scene, Some(listed), protocol).await;
                assert!(
                    is_alert(&refusal, NO_APPLICATION_PROTOCOL),
                    "{protocol:?}: {refusal}"
                );
                failed += 1;
            }
            // The node counts an attempt when its own side of the handshake has ended.
            let network = scene.node.env.network();
            let counted = async {
                while network.offences().handshakes < failed {
                    tokio::task::yield_now().await;
                }
            };
            soon(&scene.node.env, "the counts", counted).await;
            let expected = Offences {
                handshakes: failed,
                ..Offences::default()
            };
            assert_eq!(network.offences(), expected);
            scene.serves(&connection).await;
        },
    );
}

#[test]
fn who_is_taken_off_the_list_is_shown_out_and_stays_out() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let peer = scene.raw.identity.id;
            let network = scene.node.env.network();
            // One exchange of each side is under way.
            let (_send, mut receive) = ask(&connection, &header(REQUEST, QUIET.id)[..1]).await;
            let asked = scene.node_asks(b"question", PATIENCE);
            let remove = async {
                drop(connection.accept_bi().await.expect("the node asks"));
                network.set_peers(vec![scene.friend.address.clone()]);
            };
            let answer = async { tokio::join!(asked, remove).0 }.await;
            assert_eq!(answer, Err(NetworkError::Reset { peer }));
            let closed = soon(&scene.node.env, "the end", connection.closed()).await;
            assert!(is_closed(&closed, code::REMOVED), "{closed}");
            assert!(receive.read_to_end(10).await.is_err());
            scene.known(false).await;
            let unknown = NetworkError::UnknownPeer { peer };
            assert_eq!(network.send(peer, QUIET, "hello".into()), Err(unknown.clone()));
            assert_eq!(scene.node_asks(b"question", PATIENCE).await, Err(unknown));
            let refusal = refused(scene, Some(&scene.raw.identity), PROTOCOL).await;
            assert!(is_alert(&refusal, ACCESS_DENIED), "{refusal}");
            scene.serves_the_friend().await;
            let listed = PeerAddress {
                id: peer,
                address: scene.raw.address().to_string(),
            };
            network.set_peers(vec![scene.friend.address.clone(), listed]);
            let again = scene.connect().await;
            scene.serves(&again).await;
        },
    );
}

/// What a node finds at an address, when it looks for `wanted` there.
async fn found(node: &TestEnv, wanted: env::PeerAddress) -> Fault {
    let network = node.network();
    network.set_peers(vec![wanted.clone()]);
    let fault = async {
        loop {
            if let Some(fault) = network.fault(wanted.id) {
                break fault;
            }
            tokio::task::yield_now().await;
        }
    };
    let fault = soon(node, "a fault", fault).await;
    assert!(network.connected().borrow().is_empty(), "{fault}");
    let limit = Duration::from_millis(1);
    let asked = network.request(wanted.id, QUIET, "hello".into(), limit).await;
    assert_eq!(asked, Err(NetworkError::Timeout { peer: wanted.id }));
    network.set_peers(Vec::new());
    fault
}

#[test]
fn a_node_that_dials_knows_why_it_is_not_connected() {
    let folders = [(); 4].map(|()| TempDir::new().expect("a folder"));
    block_on(async {
        let dialling = |seed: u8, folder: &TempDir, handshake| {
            let mut configuration = config(seed, folder.path());
            configuration.network.handshake = handshake;
            configuration.network.head_start = Duration::ZERO;
            started(&configuration)
        };
        let node = dialling(1, &folders[0], PATIENCE);
        let hasty = dialling(4, &folders[3], Duration::from_millis(100));
        let other = started(&config(2, folders[1].path()));
        let mut configuration = config(3, folders[2].path());
        configuration.chain = b"another".to_vec();
        let elsewhere = started(&configuration);
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let silent = silent.local_addr().expect("an address").to_string();
        let at = |address: &str| PeerAddress {
            id: other.address.id,
            address: address.to_owned(),
        };
        assert_eq!(found(&node.env, other.address.clone()).await, Fault::NotAllowed);
        assert_eq!(
            found(&node.env, elsewhere.address.clone()).await,
            Fault::WrongChain
        );
        let lure = Raw::listening(9, PROTOCOL);
        let serve = async {
            while let Some(incoming) = lure.endpoint.accept().await {
                drop(incoming.await);
            }
        };
        let found_out = env::select! {
            fault = found(&node.env, at(&lure.address().to_string())) => fault,
            () = serve => panic!("the lure is up"),
        };
        assert_eq!(found_out, Fault::WrongIdentity);
        assert_eq!(found(&hasty.env, at(&silent)).await, Fault::Unreachable);
        for address in ["", "nowhere", "127.0.0.1", "127.0.0.1:99999", "[::1]:80"] {
            let fault = found(&node.env, at(address)).await;
            assert!(matches!(fault, Fault::Address { .. }), "{address}: {fault}");
        }
        for member in [node, hasty, other, elsewhere] {
            member.env.shutdown().await;
        }
    });
}
