//! Validators, and what belongs to all of them.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{
    Address, BlsPublicKey, BlsSecretKey, BlsSignature, Digest, Ed25519PublicKey, Ed25519SecretKey,
    Ed25519Signature, Hasher, Intent, IntentMessage, Scope, SignatureError,
};
use serde::{Deserialize, Serialize};

use crate::{ChainId, Epoch, ObjectId, Pool, Shannons, UpgradeVote, VotingPower};

/// A line of text that somebody shows to others: printable ASCII, at most [`MAX_BYTES`](Self::MAX_BYTES). BCS: as a string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Line(String);

/// A text is no [`Line`]: use printable ASCII, and less of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is at most {} characters of printable ASCII", Line::MAX_BYTES)]
pub struct LineError;

impl Line {
    /// As many as the reference allows.
    pub const MAX_BYTES: usize = 256;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Line {
    type Error = LineError;

    fn try_from(text: String) -> Result<Self, LineError> {
        let is_printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        let is_line = is_printable && text.len() <= Self::MAX_BYTES;
        is_line.then_some(Self(text)).ok_or(LineError)
    }
}

impl From<Line> for String {
    fn from(line: Line) -> Self {
        line.0
    }
}

/// The keys of a validator. No two validators share one, whatever it is for. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorKeys {
    /// The key of its connections.
    pub network: Ed25519PublicKey,
    /// The key that signs its blocks.
    pub consensus: Ed25519PublicKey,
    /// The key that signs checkpoints and the beacon.
    pub bls: BlsPublicKey,
}

impl ValidatorKeys {
    /// The bytes that each of the keys signs for an account on a chain: so nobody registers a key of somebody else, neither
    /// to make up an aggregate from it nor to take it away. At genesis, which names the chain, the chain is zero.
    pub fn possession(&self, chain: ChainId, address: Address) -> Vec<u8> {
        let intent = Intent::soma(Scope::ProofOfPossession);
        IntentMessage::new(intent, (chain, address, self)).to_bytes()
    }

    /// The ids of the objects that stand for these keys while they are a validator's: `H(ValidatorKey:: ‖ key)`.
    pub fn claims(&self) -> [ObjectId; 3] {
        [self.network.as_ref(), self.consensus.as_ref(), self.bls.as_ref()].map(|key| {
            let mut hasher = Hasher::named("ValidatorKey");
            hasher.bytes(key);
            hasher.finish().into()
        })
    }
}

/// Keys, and that whoever shows them has all their secret halves. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvedKeys {
    /// The keys.
    pub keys: ValidatorKeys,
    /// By the key of the connections.
    pub network: Ed25519Signature,
    /// By the key of the blocks.
    pub consensus: Ed25519Signature,
    /// By the BLS key.
    pub bls: BlsSignature,
}

impl ProvedKeys {
    /// Proves that these keys are this account's.
    pub fn prove(
        chain: ChainId,
        address: Address,
        network: &Ed25519SecretKey,
        consensus: &Ed25519SecretKey,
        bls: &BlsSecretKey,
    ) -> Self {
        let keys = ValidatorKeys {
            network: network.public(),
            consensus: consensus.public(),
            bls: bls.public(),
        };
        let message = keys.possession(chain, address);
        Self {
            network: network.sign(&message),
            consensus: consensus.sign(&message),
            bls: bls.sign(&message),
            keys,
        }
    }

    /// Whether they are this account's, on this chain. Three signature checks.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify(&self, chain: ChainId, address: Address) -> Result<(), SignatureError> {
        let message = self.keys.possession(chain, address);
        self.keys.network.verify(&message, &self.network)?;
        self.keys.consensus.verify(&message, &self.consensus)?;
        self.keys.bls.verify(&message, &self.bls)
    }
}

/// What a validator says of itself. Nothing of it is checked but its length: what is wrong harms nobody else. BCS: the fields in
/// order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// What it is called.
    pub name: Line,
    /// Where the members of the committee reach it.
    pub network_address: Line,
    /// Where everybody reaches it.
    pub proxy_address: Line,
}

/// What becomes of a validator with the next epoch. BCS: the fields in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// Its keys.
    pub keys: Option<ValidatorKeys>,
    /// Where the members of the committee reach it.
    pub network_address: Option<Line>,
    /// Its commission.
    pub commission_bps: Option<u16>,
}

/// Where a validator stands. BCS: variants 0 to 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It comes in with the first epoch for which its stake suffices.
    Candidate,
    /// It is in the committee.
    Member,
    /// It goes when this epoch closes.
    Leaving,
    /// It has gone.
    Retired,
}

/// A validator with its stake: a shared object. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    /// Its account.
    pub address: Address,
    /// Its keys.
    pub keys: ValidatorKeys,
    /// What it says of itself.
    pub metadata: Metadata,
    /// Its part of what its stakers earn, in ten-thousandths.
    pub commission_bps: u16,
    /// What changes with the next epoch.
    pub staged: Staged,
    /// Where it stands.
    pub standing: Standing,
    /// Ends of epochs in a row at which it had too little stake: to come in, or not to be at risk.
    pub short_epochs: u64,
    /// The keys with which it signs blocks, each by the first epoch in which it did, as far back as evidence is accepted; none from
    /// the epoch on in which it was no member any more.
    pub signed_with: BTreeMap<Epoch, Option<Ed25519PublicKey>>,
    /// The epochs for which it was slashed for signing two blocks for one slot.
    pub slashed_for: BTreeSet<Epoch>,
    /// The members whose rewards it wants to be withheld.
    pub reports: BTreeSet<ObjectId>,
    /// The rules that it wants.
    pub vote: Option<UpgradeVote>,
    /// What is staked with it.
    pub pool: Pool,
}

impl Validator {
    /// One that waits for its first epoch.
    pub const fn candidate(
        address: Address,
        keys: ValidatorKeys,
        metadata: Metadata,
        commission_bps: u16,
        pool: Pool,
    ) -> Self {
        Self {
            address,
            keys,
            metadata,
            commission_bps,
            staged: Staged {
                keys: None,
                network_address: None,
                commission_bps: None,
            },
            standing: Standing::Candidate,
            short_epochs: 0,
            signed_with: BTreeMap::new(),
            slashed_for: BTreeSet::new(),
            reports: BTreeSet::new(),
            vote: None,
            pool,
        }
    }

    /// The id of the object that stands for an account while it has a validator: `H(ValidatorAddress:: ‖ address)`.
    pub fn claim(address: Address) -> ObjectId {
        Digest::of_value("ValidatorAddress", &address).into()
    }

    /// The ids of all objects that stand for what is this validator's and nobody else's, as long as it has not gone.
    pub fn claims(&self) -> impl Iterator<Item = ObjectId> {
        let staged = self.staged.keys.iter().flat_map(ValidatorKeys::claims);
        let keys = self.keys.claims().into_iter().chain(staged);
        keys.chain([Self::claim(self.address)])
    }

    /// The key with which it signs the blocks of an epoch, if it does and that is not too long ago.
    pub fn signs_with(&self, epoch: Epoch) -> Option<&Ed25519PublicKey> {
        self.signed_with.range(..=epoch).next_back()?.1.as_ref()
    }
}

/// The set of validators: the object `0x6`, which no transaction of a user names. BCS: the fields in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The committee, with its power.
    pub members: BTreeMap<ObjectId, VotingPower>,
    /// Who comes in with the first epoch for which its stake suffices.
    pub pending: BTreeSet<ObjectId>,
    /// Who goes when this epoch closes.
    pub leaving: BTreeSet<ObjectId>,
    /// Who has gone, and still holds stake.
    pub retired: BTreeSet<ObjectId>,
}

impl Validators {
    /// Its id.
    pub const ID: ObjectId = ObjectId::from_low(6);
}

/// What there is once: the object `0x7`, which no transaction of a user names. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Economy {
    /// What is not handed out yet.
    pub emission: Shannons,
    /// Fees of this epoch.
    pub fees: Shannons,
    /// For the value that is moved, in this epoch.
    pub value_fee_bps: u16,
    /// Whether the last epoch could not be closed but for its end.
    pub is_safe_mode: bool,
}

impl Economy {
    /// Its id.
    pub const ID: ObjectId = ObjectId::from_low(7);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{decode, encode};

    fn chain(n: u8) -> ChainId {
        ChainId::new(Digest::new([n; 32]))
    }

    fn proved() -> ProvedKeys {
        let secret = |n| Ed25519SecretKey::from_seed(&[n; 32]);
        let bls = BlsSecretKey::from_seed(&[3; 32]);
        ProvedKeys::prove(chain(1), Address::new([7; 32]), &secret(1), &secret(2), &bls)
    }

    #[test]
    fn keys_are_proved_for_one_chain_and_one_account_and_each_by_itself() {
        let (proved, address) = (proved(), Address::new([7; 32]));
        let invalid = Err(SignatureError::Invalid);
        assert_eq!(proved.verify(chain(1), address), Ok(()));
        assert_eq!(proved.verify(chain(2), address), invalid);
        assert_eq!(proved.verify(chain(1), Address::new([8; 32])), invalid);
        let message = proved.keys.possession(chain(1), address);
        assert_eq!(
            (&message[..3], message.len()),
            (&[8, 0, 1][..], 3 + 32 + 32 + 32 + 32 + 96)
        );
        let other = Ed25519SecretKey::from_seed(&[9; 32]);
        for forge in [
            |forged: &mut ProvedKeys, by: Ed25519Signature| forged.network = by,
            |forged: &mut ProvedKeys, by: Ed25519Signature| forged.consensus = by,
            |forged: &mut ProvedKeys, _| {
                let message = forged.keys.possession(chain(2), Address::new([7; 32]));
                forged.bls = BlsSecretKey::from_seed(&[3; 32]).sign(&message);
            },
        ] {
            let mut forged = proved.clone();
            forge(&mut forged, other.sign(&message));
            assert_eq!(forged.verify(chain(1), address), invalid);
        }
    }

    #[test]
    fn a_key_has_one_claim_whatever_it_is_for() {
        let keys = proved().keys;
        let swapped = ValidatorKeys {
            network: keys.consensus.clone(),
            consensus: keys.network.clone(),
            ..keys.clone()
        };
        let [network, consensus, bls] = keys.claims();
        assert_eq!(swapped.claims(), [consensus, network, bls]);
        assert!(network != consensus && consensus != bls && bls != network);
    }

    #[test]
    fn a_validator_signs_with_the_key_it_had_in_that_epoch() {
        let key = |n| Ed25519SecretKey::from_seed(&[n; 32]).public();
        let pool = Pool::new(ObjectId::from_low(9));
        let mut validator = Validator::candidate(Address::ZERO, proved().keys, Metadata::default(), 0, pool);
        assert_eq!(validator.signs_with(Epoch::new(5)), None);
        let keys = [(3, Some(key(3))), (6, Some(key(6))), (10, None)];
        validator.signed_with = keys.map(|(epoch, key)| (Epoch::new(epoch), key)).into();
        assert_eq!(validator.signs_with(Epoch::new(2)), None);
        assert_eq!(validator.signs_with(Epoch::new(3)), Some(&key(3)));
        assert_eq!(validator.signs_with(Epoch::new(5)), Some(&key(3)));
        assert_eq!(validator.signs_with(Epoch::new(9)), Some(&key(6)));
        assert_eq!(validator.signs_with(Epoch::new(10)), None);
    }

    /// W-M3, W-H27: what validators said of themselves had any length.
    #[test]
    fn a_line_is_short_and_printable() {
        let line = |text: &str| Line::try_from(text.to_owned()).map(String::from);
        assert_eq!(line("soma.example:9000 (b)"), Ok("soma.example:9000 (b)".into()));
        assert_eq!(
            line(&"x".repeat(Line::MAX_BYTES)),
            Ok("x".repeat(Line::MAX_BYTES))
        );
        for wrong in ["a\nb", "\u{7f}", "ü", &"x".repeat(Line::MAX_BYTES + 1)] {
            assert_eq!(line(wrong), Err(LineError));
            assert!(decode::<Line>(&encode(wrong), 1 << 10).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_what_a_validator_says_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(metadata) = decode::<Metadata>(&bytes, 300) {
                prop_assert_eq!(encode(&metadata), bytes.clone());
            }
            let _ = decode::<ProvedKeys>(&bytes, 300);
            let _ = decode::<Validator>(&bytes, 300);
        }
    }
}
