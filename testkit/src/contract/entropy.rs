//! The contract of [`Entropy`]. Each clause takes one environment.

use std::collections::BTreeSet;

use env::{Entropy, Env};

/// All clauses of the contract of `env::Entropy`, as tests.
#[macro_export]
macro_rules! entropy_contract {
    ($run:path) => {
        $crate::__clauses!($run, entropy:
            every_byte_is_filled
            no_two_draws_are_equal
            handles_share_one_source
            domains_differ);
    };
}

/// Over a few draws, each position of a buffer of any length takes a non-zero value.
pub async fn every_byte_is_filled<E: Env>(env: E) {
    for length in (0..=70).chain([255, 256, 257, 4_099]) {
        let mut seen = vec![0; length];
        // A position stays zero in all of 8 draws with probability 2^-64.
        for _ in 0..8 {
            let mut draw = vec![0; length];
            env.entropy().fill("contract", &mut draw);
            seen.iter_mut().zip(draw).for_each(|(seen, byte)| *seen |= byte);
        }
        assert!(
            seen.iter().all(|byte| *byte != 0),
            "a byte of {length} was never filled"
        );
    }
}

/// A source does not repeat itself.
pub async fn no_two_draws_are_equal<E: Env>(env: E) {
    let draws: BTreeSet<_> = (0..1_000).map(|_| env.entropy().seed("contract")).collect();
    assert_eq!(draws.len(), 1_000);
}

/// A clone goes on where the original is: it does not give the same bytes again.
pub async fn handles_share_one_source<E: Env>(env: E) {
    let clone = env.entropy().clone();
    let draws: BTreeSet<_> = (0..100)
        .flat_map(|_| [env.entropy().seed("contract"), clone.seed("contract")])
        .collect();
    assert_eq!(draws.len(), 200);
}

/// What is drawn in one domain is not what is drawn in another.
pub async fn domains_differ<E: Env>(env: E) {
    assert_ne!(env.entropy().seed("one"), env.entropy().seed("other"));
}
