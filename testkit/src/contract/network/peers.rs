//! Who is connected to whom.

use std::time::Duration;

use bytes::Bytes;
use env::{Clock, Env, Network, NetworkError};

use super::{CHANNEL, LIMIT, Member, accept_request, connect, listen, wait_connected};
use crate::contract::{WATCH, soon};

/// The identity of the transport is the one that others are told.
pub async fn a_node_knows_its_own_key<E: Env>(members: [Member<E>; 3]) {
    for member in &members {
        assert_eq!(member.env.network().id(), member.address.id);
    }
}

/// Members that list each other find each other, and stay connected while nothing is sent.
pub async fn members_connect_to_each_other<E: Env>(members: [Member<E>; 3]) {
    for member in &members {
        assert!(member.env.network().connected().borrow().is_empty());
    }
    connect(&members).await;
    members[0].env.clock().sleep(WATCH).await;
    for member in &members {
        assert_eq!(member.env.network().connected().borrow().len(), 2);
    }
}

/// Nothing goes to a peer outside the set, and the node says so at once.
pub async fn a_peer_that_was_not_told_of_is_unknown<E: Env>(members: [Member<E>; 3]) {
    let [a, b, _] = &members;
    let peer = b.address.id;
    let unknown = || Some(NetworkError::UnknownPeer { peer });
    let network = a.env.network();
    assert_eq!(network.send(peer, CHANNEL, Bytes::new()).err(), unknown());
    assert_eq!(
        network.request(peer, CHANNEL, Bytes::new(), LIMIT).await.err(),
        unknown()
    );
    assert_eq!(
        network.open(peer, CHANNEL, Bytes::new(), LIMIT).await.err(),
        unknown()
    );
}

/// Both sides see the end of a connection to a peer that was taken off the list, and it is let in no more.
pub async fn a_removed_peer_is_disconnected<E: Env>(members: [Member<E>; 3]) {
    connect(&members).await;
    let [a, b, c] = &members;
    a.env.network().set_peers(vec![c.address.clone()]);
    wait_connected(&a.env, b.address.id, false).await;
    wait_connected(&b.env, a.address.id, false).await;
    let answer = a.env.network().send(b.address.id, CHANNEL, Bytes::new());
    assert_eq!(answer, Err(NetworkError::UnknownPeer { peer: b.address.id }));
    a.env.clock().sleep(WATCH * 4).await;
    assert!(!a.env.network().connected().borrow().contains(&b.address.id));
    assert!(!b.env.network().connected().borrow().contains(&a.address.id));
    assert!(a.env.network().connected().borrow().contains(&c.address.id));
    assert!(b.env.network().connected().borrow().contains(&c.address.id));
}

/// Listing a peer again is enough to be connected again.
pub async fn a_peer_that_comes_back_is_connected_again<E: Env>(members: [Member<E>; 3]) {
    let [a, b, _] = &members;
    let mut listener = listen(b, CHANNEL);
    for round in 0..3_u8 {
        connect(&members[..2]).await;
        let request = a
            .env
            .network()
            .request(b.address.id, CHANNEL, Bytes::from(vec![round]), LIMIT);
        let serve = async {
            let (_, body, reply) = accept_request(&b.env, &mut listener).await;
            env::Reply::send(reply, body).expect("the node is up");
        };
        let both = async {
            let (mut request, mut serve) = (std::pin::pin!(request), std::pin::pin!(serve));
            let early = env::select! {
                answer = &mut request => Some(answer),
                () = &mut serve => None,
            };
            match early {
                Some(answer) => answer,
                None => request.await,
            }
        };
        assert_eq!(soon(&a.env, "a reply", both).await, Ok(Bytes::from(vec![round])));
        b.env.network().set_peers(Vec::new());
        wait_connected(&a.env, b.address.id, false).await;
        a.env.clock().sleep(Duration::from_millis(10)).await;
    }
}

/// A second listener is turned away until the first is gone; channels are free of each other.
pub async fn a_channel_has_one_listener<E: Env>(members: [Member<E>; 3]) {
    let first = listen(&members[0], CHANNEL);
    let taken = Some(NetworkError::ChannelTaken {
        channel: CHANNEL.label,
    });
    assert_eq!(members[0].env.network().listen(CHANNEL).err(), taken);
    let other = listen(&members[0], super::OTHER);
    drop(first);
    let second = listen(&members[0], CHANNEL);
    drop((second, other));
}
