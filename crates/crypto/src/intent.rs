//! What a signature is meant for: three bytes in front of everything that is signed, so that no signature can be
//! shown for something else.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// What kind of value is signed. BCS: one byte, the number given here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// 0: a user's transaction, and the effects that a validator reports for it.
    TransactionData,
    /// 1: a block of consensus.
    ConsensusBlock,
    /// 2: a transaction with its signatures.
    SenderSignedTransaction,
    /// 3: not used; effects are signed under scope 0.
    TransactionEffects,
    /// 4: an address that a peer announces.
    DiscoveryPeers,
    /// 5: a commit of consensus.
    CommitSummary,
    /// 6: the next committee.
    ValidatorSet,
    /// 7: a checkpoint.
    CheckpointSummary,
    /// 8: that the holder of a validator's key has its secret half.
    ProofOfPossession,
}

/// Which part of the system. BCS: one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum App {
    /// 0: consensus.
    Consensus,
    /// 1: everything else.
    Soma,
}

/// The version of intents. BCS: one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IntentVersion {
    /// 0.
    V0,
}

/// Scope, version and app. BCS: three bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Intent {
    /// What kind of value.
    pub scope: Scope,
    /// In which version.
    pub version: IntentVersion,
    /// Of which part.
    pub app: App,
}

impl Intent {
    /// An intent of the ledger's world.
    pub const fn soma(scope: Scope) -> Self {
        Self {
            scope,
            version: IntentVersion::V0,
            app: App::Soma,
        }
    }

    /// An intent of consensus.
    pub const fn consensus(scope: Scope) -> Self {
        Self {
            scope,
            version: IntentVersion::V0,
            app: App::Consensus,
        }
    }
}

/// A value with its intent: what is signed. BCS: the intent's three bytes, then the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntentMessage<T> {
    /// What the signature is for.
    pub intent: Intent,
    /// The value.
    pub value: T,
}

impl<T: Serialize> IntentMessage<T> {
    /// A value with its intent.
    pub const fn new(intent: Intent, value: T) -> Self {
        Self { intent, value }
    }

    /// BCS of intent and value: what authorities and blocks sign.
    pub fn to_bytes(&self) -> Vec<u8> {
        bcs::to_bytes(self).expect("our types have no floats and no unbounded nesting")
    }

    /// `H(BCS(intent, value))`, without a name in front: what users sign.
    pub fn digest(&self) -> Digest {
        let mut hasher = crate::Hasher::new();
        hasher.value(self);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_intent_is_three_bytes() {
        assert_eq!(
            bcs::to_bytes(&Intent::soma(Scope::ProofOfPossession)).unwrap(),
            [8, 0, 1]
        );
        assert_eq!(
            bcs::to_bytes(&Intent::consensus(Scope::ConsensusBlock)).unwrap(),
            [1, 0, 0]
        );
        let message = IntentMessage::new(Intent::soma(Scope::TransactionData), 7u16);
        assert_eq!(message.to_bytes(), [0, 0, 1, 7, 0]);
        assert_eq!(message.digest(), Digest::of(&[0, 0, 1, 7, 0]));
    }

    #[test]
    fn bytes_beyond_the_known_scopes_versions_and_apps_are_refused() {
        for bytes in [[9, 0, 1], [0, 1, 1], [0, 0, 2]] {
            assert!(bcs::from_bytes::<Intent>(&bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_intent_with_these_bytes_or_none(bytes in proptest::collection::vec(0u8..12, 0..5)) {
            if let Ok(intent) = bcs::from_bytes::<Intent>(&bytes) {
                prop_assert_eq!(bcs::to_bytes(&intent).unwrap(), bytes);
            }
        }
    }
}
