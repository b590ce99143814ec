//! The contract of [`Network`] and its parts. Each clause takes three [`Member`]s that can reach each other, over
//! links that lose nothing, and that have not been told of each other yet.

mod messages;
mod peers;
mod requests;
mod streams;

use std::time::Duration;

use bytes::Bytes;
use env::{Channel, Env, Listener, Network, NetworkError, PeerAddress};
use types::PeerId;

use super::soon;

pub use messages::*;
pub use peers::*;
pub use requests::*;
pub use streams::*;

/// One node of a network under test.
#[derive(Clone, Debug)]
pub struct Member<E> {
    /// Its environment.
    pub env: E,
    /// Where the others find it.
    pub address: PeerAddress,
}

/// All clauses of the contract of `env::Network` and its parts, as tests.
#[macro_export]
macro_rules! network_contract {
    ($run:path) => {
        $crate::__clauses!($run, network:
            a_node_knows_its_own_key
            members_connect_to_each_other
            a_peer_that_was_not_told_of_is_unknown
            a_removed_peer_is_disconnected
            a_peer_that_comes_back_is_connected_again
            a_channel_has_one_listener
            a_message_arrives_whole_and_names_its_sender
            what_is_queued_before_a_connection_arrives
            a_new_listener_gets_the_first_message
            a_message_arrives_at_most_once
            a_frame_over_the_limit_is_not_sent
            a_full_queue_answers_busy
            an_accept_that_is_dropped_loses_nothing
            a_peer_that_sends_without_pause_starves_no_other
            a_request_gets_its_reply
            replies_go_to_their_own_requests
            a_request_that_nobody_serves_is_refused
            a_dropped_reply_is_a_refusal
            a_reply_over_the_limit_is_a_refusal
            a_request_without_an_answer_ends_at_its_limit
            a_request_to_an_unreachable_peer_ends_at_its_limit
            requests_over_the_concurrency_are_turned_away
            a_withdrawn_request_makes_room
            a_stream_begins_with_its_preamble
            what_is_sent_right_after_opening_arrives
            frames_arrive_in_order_in_both_directions
            a_finished_direction_ends_after_its_last_frame
            a_sender_dropped_without_finish_resets_its_direction
            a_dropped_receiver_resets_the_sender
            a_dropped_stream_resets_the_opener
            a_stream_that_nobody_serves_does_not_stand
            a_receiver_that_does_not_read_holds_its_sender_back
            a_send_that_is_dropped_queues_all_or_nothing
            a_receive_that_is_dropped_loses_no_frame
            streams_over_the_concurrency_are_turned_away
            a_stream_to_a_removed_peer_breaks);
    };
}

type NetworkOf<E> = <E as Env>::Network;
type ListenerOf<E> = <NetworkOf<E> as Network>::Listener;
type StreamOf<E> = <NetworkOf<E> as Network>::Stream;
type ReplyOf<E> = <NetworkOf<E> as Network>::Reply;
type Inbound<E> = env::Inbound<StreamOf<E>, ReplyOf<E>>;

const CHANNEL: Channel = Channel {
    id: 7,
    label: "contract",
    max_frame: 64 << 10,
    queue: 16,
    concurrency: 8,
};

const OTHER: Channel = Channel {
    id: 8,
    label: "other",
    ..CHANNEL
};

/// A limit that only a broken implementation reaches.
const LIMIT: Duration = super::PATIENCE;

/// Tells every member of every other and waits until all are connected.
async fn connect<E: Env>(members: &[Member<E>]) {
    for member in members {
        let others = members
            .iter()
            .filter(|other| other.address.id != member.address.id);
        member
            .env
            .network()
            .set_peers(others.map(|other| other.address.clone()).collect());
    }
    for member in members {
        for other in members {
            if other.address.id != member.address.id {
                wait_connected(&member.env, other.address.id, true).await;
            }
        }
    }
}

/// Waits until `peer` is, or is not, among the connected ones.
async fn wait_connected<E: Env>(env: &E, peer: PeerId, wanted: bool) {
    let mut connected = env.network().connected();
    let change = async {
        while connected.borrow_and_update().contains(&peer) != wanted {
            connected.changed().await.expect("the node is up");
        }
    };
    soon(env, "a change of the connected peers", change).await;
}

fn listen<E: Env>(member: &Member<E>, channel: Channel) -> ListenerOf<E> {
    member.env.network().listen(channel).expect("the channel is free")
}

async fn accept<E: Env>(env: &E, listener: &mut ListenerOf<E>) -> Inbound<E> {
    soon(env, "an arrival", listener.accept())
        .await
        .expect("the node is up")
}

/// Accepts a message and checks where it came from.
async fn accept_message<E: Env>(env: &E, listener: &mut ListenerOf<E>) -> (PeerId, Bytes) {
    match accept(env, listener).await {
        env::Inbound::Message { from, body } => (from, body),
        _ => panic!("something other than a message arrived"),
    }
}

/// Accepts a request.
async fn accept_request<E: Env>(env: &E, listener: &mut ListenerOf<E>) -> (PeerId, Bytes, ReplyOf<E>) {
    match accept(env, listener).await {
        env::Inbound::Request { from, body, reply } => (from, body, reply),
        _ => panic!("something other than a request arrived"),
    }
}

/// Opens a stream from one member to another and accepts it there.
async fn stream<E: Env>(from: &Member<E>, to: &Member<E>) -> (StreamOf<E>, StreamOf<E>, ListenerOf<E>) {
    let mut listener = listen(to, CHANNEL);
    let opened = open(from, to).await.expect("a connection stands");
    match accept(&to.env, &mut listener).await {
        env::Inbound::Stream {
            from: opener,
            preamble,
            stream,
        } => {
            assert_eq!((opener, &preamble[..]), (from.address.id, &b"preamble"[..]));
            (opened, stream, listener)
        }
        _ => panic!("something other than a stream arrived"),
    }
}

async fn open<E: Env>(from: &Member<E>, to: &Member<E>) -> Result<StreamOf<E>, NetworkError> {
    let preamble = Bytes::from_static(b"preamble");
    let open = from.env.network().open(to.address.id, CHANNEL, preamble, LIMIT);
    soon(&from.env, "a stream", open).await
}

/// A body of `length` bytes that is recognised when it comes out changed.
fn body(number: u32, length: usize) -> Bytes {
    let number = number.to_be_bytes();
    (0..length)
        .map(|index| number[index % 4] ^ (index / 4) as u8)
        .collect()
}
