//! Leaks through crates that a run must not use.
// tidy: allow thread-rng in this file: the planted leaks and the tripwire name what they watch for

use super::{
    Canary,
    Expected::{Difference, Panic, Trip},
    Tripwire::Functions,
    canary,
};
use crate::worker::Factor;

pub(super) static CANARIES: [Canary; 5] = [
    canary!(
        "getrandom 0.2",
        Trip(Functions, "16 bytes of the host's entropy"),
        getrandom_02
    ),
    canary!(
        "rand 0.8",
        Trip(Functions, "32 bytes of the host's entropy"),
        rand_08
    ),
    canary!("tokio sleep", Panic("no reactor running"), tokio_sleep),
    canary!("hashbrown", Difference(Factor::Addresses), hashbrown_map),
    canary!("ahash", Difference(Factor::History), ahash_map),
];

async fn getrandom_02() -> Vec<u8> {
    let mut bytes = vec![0; 16];
    let _ = getrandom::getrandom(&mut bytes);
    bytes
}

#[expect(clippy::disallowed_methods, reason = "this is the leak")]
async fn rand_08() -> Vec<u8> {
    use rand::RngCore;

    rand::thread_rng().next_u64().to_le_bytes().to_vec()
}

#[expect(clippy::disallowed_methods, reason = "this is the leak")]
async fn tokio_sleep() -> Vec<u8> {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    Vec::new()
}

async fn hashbrown_map() -> Vec<u8> {
    let map: hashbrown::HashMap<u8, ()> = (0..100).map(|key| (key, ())).collect();
    map.into_keys().collect()
}

async fn ahash_map() -> Vec<u8> {
    ahash::RandomState::new().hash_one(7).to_le_bytes().to_vec()
}
