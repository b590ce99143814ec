//! Virtual processor time per unit of work: constants, never measured at start.

use env::{Cost, CostKind};
use serde::{Deserialize, Serialize};

/// Nanoseconds of one core per unit, measured once on the reference machine (one thread, release build).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Costs {
    /// Cores that `Compute` jobs of one node share.
    pub cores: u32,
    /// One poll of a task.
    pub poll_ns: u64,
    /// One ed25519 signature made.
    pub ed25519_sign_ns: u64,
    /// One ed25519 signature checked.
    pub ed25519_verify_ns: u64,
    /// One BLS signature made.
    pub bls_sign_ns: u64,
    /// One BLS signature checked.
    pub bls_verify_ns: u64,
    /// One BLS signature or key added to an aggregate.
    pub bls_aggregate_ns: u64,
    /// 1,024 bytes hashed.
    pub hash_kib_ns: u64,
    /// 1,024 bytes encrypted or decrypted.
    pub cipher_kib_ns: u64,
    /// 1,000 units of execution.
    pub execute_thousand_ns: u64,
    /// 1,000 units of scoring, each of 1,000 multiply-adds.
    pub score_thousand_ns: u64,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            cores: 2,
            poll_ns: 2_000,
            ed25519_sign_ns: 16_700,
            ed25519_verify_ns: 51_800,
            bls_sign_ns: 157_700,
            bls_verify_ns: 961_500,
            bls_aggregate_ns: 530,
            hash_kib_ns: 900,
            cipher_kib_ns: 760,
            execute_thousand_ns: 300,
            score_thousand_ns: 11_300,
        }
    }
}

impl Costs {
    /// Work that takes no time: for measuring the simulator itself.
    pub const FREE: Self = Self {
        cores: 1,
        poll_ns: 0,
        ed25519_sign_ns: 0,
        ed25519_verify_ns: 0,
        bls_sign_ns: 0,
        bls_verify_ns: 0,
        bls_aggregate_ns: 0,
        hash_kib_ns: 0,
        cipher_kib_ns: 0,
        execute_thousand_ns: 0,
        score_thousand_ns: 0,
    };

    /// Every time, with its name in a scenario.
    pub(crate) const fn named(&self) -> [(&'static str, u64); 10] {
        let Self {
            cores: _,
            poll_ns,
            ed25519_sign_ns,
            ed25519_verify_ns,
            bls_sign_ns,
            bls_verify_ns,
            bls_aggregate_ns,
            hash_kib_ns,
            cipher_kib_ns,
            execute_thousand_ns,
            score_thousand_ns,
        } = *self;
        [
            ("costs.poll_ns", poll_ns),
            ("costs.ed25519_sign_ns", ed25519_sign_ns),
            ("costs.ed25519_verify_ns", ed25519_verify_ns),
            ("costs.bls_sign_ns", bls_sign_ns),
            ("costs.bls_verify_ns", bls_verify_ns),
            ("costs.bls_aggregate_ns", bls_aggregate_ns),
            ("costs.hash_kib_ns", hash_kib_ns),
            ("costs.cipher_kib_ns", cipher_kib_ns),
            ("costs.execute_thousand_ns", execute_thousand_ns),
            ("costs.score_thousand_ns", score_thousand_ns),
        ]
    }

    /// What `cost` takes on one core, in nanoseconds.
    pub fn of(&self, cost: Cost) -> u64 {
        let (ns, per) = match cost.kind {
            CostKind::Ed25519Sign => (self.ed25519_sign_ns, 1),
            CostKind::Ed25519Verify => (self.ed25519_verify_ns, 1),
            CostKind::BlsSign => (self.bls_sign_ns, 1),
            CostKind::BlsVerify => (self.bls_verify_ns, 1),
            CostKind::BlsAggregate => (self.bls_aggregate_ns, 1),
            CostKind::HashByte => (self.hash_kib_ns, 1_024),
            CostKind::CipherByte => (self.cipher_kib_ns, 1_024),
            CostKind::Execute => (self.execute_thousand_ns, 1_000),
            CostKind::Score => (self.score_thousand_ns, 1_000),
            kind => panic!("{kind:?} has a row in the table of costs"),
        };
        ns.saturating_mul(cost.units) / per
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_work_takes_time() {
        let costs = Costs::default();
        for kind in [
            CostKind::Ed25519Sign,
            CostKind::Ed25519Verify,
            CostKind::BlsSign,
            CostKind::BlsVerify,
            CostKind::BlsAggregate,
            CostKind::HashByte,
            CostKind::CipherByte,
            CostKind::Execute,
            CostKind::Score,
        ] {
            assert!(costs.of(Cost::new(kind, 10_000)) > 0, "{kind:?}");
        }
        assert_eq!(costs.of(Cost::new(CostKind::HashByte, 2_048)), 1_800);
    }
}
