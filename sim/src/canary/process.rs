//! Leaks from the process itself: its addresses, its history, its hashers.
// tidy: allow std-env in this file: the planted leaks and the tripwire name what they watch for
// tidy: allow select in this file: the planted leaks and the tripwire name what they watch for

#![expect(
    clippy::disallowed_types,
    reason = "these are the leaks that the lint keeps out of everything else"
)]

use std::{
    collections::{BTreeMap, HashMap},
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::{
    Canary,
    Expected::{Difference, Nothing},
    canary,
};
use crate::worker::Factor;

pub(super) static CANARIES: [Canary; 7] = [
    canary!("clean run", Nothing, clean),
    canary!("tokio select", Difference(Factor::History), select),
    canary!("std hash map", Difference(Factor::HasherKeys), hash_map),
    canary!("static counter", Difference(Factor::History), counter),
    canary!("pointer address", Difference(Factor::Addresses), address),
    canary!("pointer order", Difference(Factor::Addresses), order),
    canary!("environment list", Difference(Factor::Environment), environment),
];

/// What a run may do: virtual time and madsim's randomness.
async fn clean() -> Vec<u8> {
    let start = Instant::now();
    madsim::time::sleep(Duration::from_secs(3600)).await;
    let mut seen: BTreeMap<u64, u64> = (0..100).map(|key| (key, madsim::rand::random())).collect();
    seen.insert(100, start.elapsed().as_secs());
    seen.values().flat_map(|value| value.to_le_bytes()).collect()
}

/// Which of three ready branches is taken, 64 times: by tokio's own generator, which counts its uses in a static.
async fn select() -> Vec<u8> {
    let mut picks = Vec::new();
    for _ in 0..64 {
        picks.push(tokio::select! {
            pick = std::future::ready(0) => pick,
            pick = std::future::ready(1) => pick,
            pick = std::future::ready(2) => pick,
        });
    }
    picks
}

async fn hash_map() -> Vec<u8> {
    let map: HashMap<u8, ()> = (0..100).map(|key| (key, ())).collect();
    map.into_keys().collect()
}

async fn counter() -> Vec<u8> {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    RUNS.fetch_add(1, Ordering::Relaxed).to_le_bytes().to_vec()
}

async fn address() -> Vec<u8> {
    let place = black_box(Box::new(1));
    std::ptr::from_ref(place.as_ref()).addr().to_le_bytes().to_vec()
}

/// In which order blocks of many sizes lie in memory.
async fn order() -> Vec<u8> {
    let blocks: Vec<Vec<u8>> = (1..200).map(|size| Vec::with_capacity(size * 24)).collect();
    let on_stack = 0u8;
    let mut places: Vec<(usize, u8)> = blocks
        .iter()
        .zip(0..)
        .map(|(block, index)| (block.as_ptr().addr(), index))
        .collect();
    places.push((std::ptr::from_ref(black_box(&on_stack)).addr() % 4096, u8::MAX));
    places.sort_unstable_by_key(|(place, _)| place % 4096);
    places.into_iter().map(|(_, index)| index).collect()
}

async fn environment() -> Vec<u8> {
    std::env::vars_os()
        .flat_map(|(_, value)| value.into_encoded_bytes())
        .collect()
}
