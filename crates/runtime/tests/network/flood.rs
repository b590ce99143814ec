//! Many connections at once, of one peer and of strangers.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

use env::{Env, Network};
use tempfile::TempDir;
use testkit::contract::{PATIENCE, soon};

use crate::raw::{Identity, PROTOCOL, Raw, code, is_alert, is_closed, refusal};
use crate::scene::{QUIET, on_scene};
use crate::world::{block_on, config, started};

const MANY: usize = 40;

#[test]
fn of_many_connections_of_one_peer_the_last_is_kept() {
    on_scene(
        |_| {},
        async |scene| {
            let mut connections = Vec::new();
            for _ in 0..MANY {
                connections.push(scene.connect().await);
            }
            let last = connections.pop().expect("there are some");
            for connection in connections {
                let end = soon(&scene.node.env, "the end", connection.closed()).await;
                assert!(is_closed(&end, code::DUPLICATE), "{end}");
            }
            scene.serves(&last).await;
        },
    );
}

#[test]
fn strangers_that_knock_are_turned_away_and_peers_are_served() {
    on_scene(
        |_| {},
        async |scene| {
            let connection = scene.connect().await;
            let node = scene
                .node
                .env
                .network()
                .local_address()
                .expect("the node listens");
            let strangers: Vec<_> = (0..MANY)
                .map(|number| Identity::new(u8::try_from(100 + number).expect("few strangers")))
                .collect();
            let knocks = strangers.iter().map(|stranger| async move {
                let knock = Raw::new(3);
                refusal(knock.dial_as(Some(stranger), PROTOCOL, node).await).await
            });
            let refusals = futures_util::future::join_all(knocks);
            for refusal in soon(&scene.node.env, "the refusals", refusals).await {
                assert!(is_alert(&refusal, 49), "{refusal}");
            }
            scene.serves(&connection).await;
            let network = scene.node.env.network();
            let counted = async {
                while network.offences().handshakes < MANY as u64 {
                    tokio::task::yield_now().await;
                }
            };
            soon(&scene.node.env, "the counts", counted).await;
            assert_eq!(network.offences().handshakes, MANY as u64);
            assert_eq!(network.connected().borrow().len(), 2);
        },
    );
}

/// The first datagrams of `count` handshakes that go no further.
fn first_datagrams(raw: &Raw, count: usize) -> Vec<Vec<u8>> {
    let nobody = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = nobody.local_addr().expect("an address");
    let dialling: Vec<_> = (0..count).map(|_| raw.dial_as(None, PROTOCOL, address)).collect();
    let mut seen = BTreeSet::new();
    let mut datagrams = Vec::new();
    let mut buffer = [0; 2_000];
    let mut dialling = Box::pin(futures_util::future::join_all(dialling));
    while datagrams.len() < count {
        // The sockets are driven by other threads; polling here is what begins the handshakes.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(dialling.as_mut().poll(&mut context).is_pending());
        let length = nobody.recv(&mut buffer).expect("a datagram");
        // Behind flags and version stands the identifier that the dialling side has drawn (RFC 9000, 17.2).
        let identifier = buffer[6..6 + usize::from(buffer[5])].to_vec();
        if seen.insert(identifier) {
            datagrams.push(buffer[..length].to_vec());
        }
    }
    datagrams
}

#[test]
fn handshakes_that_stop_halfway_leave_room_for_peers() {
    const PLACES: usize = 8;
    let folders = [(); 2].map(|()| TempDir::new().expect("a folder"));
    block_on(async {
        let mut configuration = config(1, folders[0].path());
        configuration.network.handshakes = PLACES;
        configuration.network.handshake = Duration::from_secs(600);
        configuration.network.idle = Duration::from_secs(600);
        let node = started(&configuration);
        let address = node.env.network().local_address().expect("the node listens");
        let raw = Raw::new(3);
        let mut retries = 0;
        for datagram in first_datagrams(&raw, MANY) {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.send_to(&datagram, address).expect("it is sent");
            socket
                .set_read_timeout(Some(PATIENCE))
                .expect("the time is not zero");
            let mut answer = [0; 2_000];
            socket.recv(&mut answer).expect("the node answers");
            // The two bits of a long header that say which packet it is: 3 is a retry.
            retries += usize::from(answer[0] >> 4 & 3 == 3);
        }
        // From half of the places on, whoever dials has to show that it is where it says: that costs no place.
        assert_eq!(retries, MANY - PLACES / 2);
        let friend = started(&config(2, folders[1].path()));
        node.env.network().set_peers(vec![friend.address.clone()]);
        friend.env.network().set_peers(vec![node.address.clone()]);
        let asked = friend
            .env
            .network()
            .request(node.address.id, QUIET, "hello".into(), PATIENCE)
            .await;
        let refused = env::NetworkError::Refused {
            peer: node.address.id,
            channel: QUIET.label,
        };
        assert_eq!(asked, Err(refused), "nobody listens, and the node says so");
        friend.env.shutdown().await;
        node.env.shutdown().await;
    });
}
