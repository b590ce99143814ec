//! The randomness of the operating system.

use env::Entropy;
use rand::RngCore;

/// Draws every byte from the operating system.
#[derive(Clone, Copy, Debug)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, _domain: &'static str, out: &mut [u8]) {
        rand::rngs::OsRng.try_fill_bytes(out).expect(
            "a system that runs a node has randomness: since Linux 5.6 getrandom(2) cannot fail once booted",
        );
    }
}
