//! Randomness: for keys, nonces and jitter, never for anything that two nodes must agree on.

/// A source of unpredictable bytes.
pub trait Entropy: Clone + Send + Sync + 'static {
    /// Fills `out`. In production every byte comes from the operating system and `domain` is ignored; in the
    /// simulator each (seed, node, incarnation, domain) has a stream of its own, so that a draw in one domain moves
    /// no other.
    fn fill(&self, domain: &'static str, out: &mut [u8]);

    /// 32 fresh bytes, to seed a generator or a key.
    fn seed(&self, domain: &'static str) -> [u8; 32] {
        let mut out = [0; 32];
        self.fill(domain, &mut out);
        out
    }
}
