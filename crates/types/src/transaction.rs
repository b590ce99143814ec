//! What a user asks for, and signs.

use std::collections::BTreeMap;

use crypto::{Address, Digest, Intent, IntentMessage, Scope, SignatureError, UserSignature, Verified};
use serde::{Deserialize, Serialize};

use crate::{Bounded, ChainId, Epoch, ObjectId, ObjectRef, Shannons, TransactionDigest};

/// Objects that one transaction names at most, in each of its lists.
pub const MAX_NAMED: usize = 256;

/// A list of references.
pub type ObjectRefs = Bounded<ObjectRef, MAX_NAMED>;

/// What a transaction does. What the system does by itself is none of these, so nobody can sign it. BCS: the variants from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransactionKind {
    /// Gives a coin away, or an amount of it.
    TransferCoin {
        /// The sender's. It may be the first gas coin.
        coin: ObjectRef,
        /// How much; the whole coin if it is not said.
        amount: Option<Shannons>,
        /// To whom.
        recipient: Address,
    },
    /// Merges coins and pays several recipients.
    PayCoins {
        /// The sender's. The first gas coin may be one of them; what is left goes to it then, and else to the first of these.
        coins: ObjectRefs,
        /// To whom, and how much. `None` gives everything to the one recipient.
        amounts: Option<Bounded<Shannons, MAX_NAMED>>,
        /// As many as there are amounts.
        recipients: Bounded<Address, MAX_NAMED>,
    },
    /// Gives objects away.
    TransferObjects {
        /// The sender's. The first gas coin may be one of them.
        objects: ObjectRefs,
        /// To whom.
        recipient: Address,
    },
    /// Stakes with a validator.
    AddStake {
        /// With whom.
        validator: ObjectId,
        /// The sender's. It may be the first gas coin, which then has to hold the fee besides.
        coin: ObjectRef,
        /// How much; the whole coin if it is not said.
        amount: Option<Shannons>,
    },
    /// Withdraws stake one step further: what is staked begins to leave, and what has left is paid when it is due.
    WithdrawStake {
        /// With whom it is.
        validator: ObjectId,
        /// The receipt. It stands for the rest then, or for what leaves.
        stake: ObjectRef,
        /// What the part that is withdrawn is to be worth now; everything if it is not said.
        amount: Option<Shannons>,
    },
}

impl TransactionKind {
    /// The owned objects that it uses, as often as it names them.
    pub fn owned(&self) -> &[ObjectRef] {
        match self {
            Self::TransferCoin { coin, .. } | Self::AddStake { coin, .. } => std::slice::from_ref(coin),
            Self::PayCoins { coins, .. } => coins,
            Self::TransferObjects { objects, .. } => objects,
            Self::WithdrawStake { stake, .. } => std::slice::from_ref(stake),
        }
    }

    /// The shared object that it writes, if it writes one.
    pub const fn shared(&self) -> Option<ObjectId> {
        match self {
            Self::AddStake { validator, .. } | Self::WithdrawStake { validator, .. } => Some(*validator),
            Self::TransferCoin { .. } | Self::PayCoins { .. } | Self::TransferObjects { .. } => None,
        }
    }

    /// How many objects it creates at most.
    pub fn creates(&self) -> usize {
        match self {
            Self::TransferCoin { amount, .. } => usize::from(amount.is_some()),
            Self::PayCoins { amounts, .. } => amounts.as_ref().map_or(0, |amounts| amounts.len()),
            Self::TransferObjects { .. } => 0,
            Self::AddStake { .. } | Self::WithdrawStake { .. } => 1,
        }
    }
}

/// What a user asks for. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// On which chain. A signature for one is worth nothing on another.
    pub chain: ChainId,
    /// The last epoch in which it may be executed.
    pub expiry: Option<Epoch>,
    /// Who asks, and whose the owned objects are.
    pub sender: Address,
    /// The coins that pay: all are merged into the first.
    pub gas: ObjectRefs,
    /// What for.
    pub kind: TransactionKind,
}

/// Why a transaction means nothing. Its sender is at fault, whatever the state is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Nothing pays for it.
    #[error("no gas coin is named")]
    NoGas,
    /// An object is named twice. Only the first gas coin may be used by the kind as well, in the same version.
    #[error("object {0} is named more than once")]
    Repeated(ObjectId),
    /// A list that must have something has nothing.
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// Amounts and recipients do not match.
    #[error("{recipients} recipients for {amounts} amounts")]
    Unmatched {
        /// How many amounts; one without any.
        amounts: usize,
        /// How many recipients.
        recipients: usize,
    },
    /// An amount of nothing.
    #[error("amount {0} is nothing")]
    NothingPaid(usize),
}

impl Transaction {
    /// `H(Transaction:: ‖ BCS)`.
    pub fn digest(&self) -> TransactionDigest {
        TransactionDigest::new(Digest::of_value("Transaction", self))
    }

    /// Checks what no state is needed for. Every door does so before anything else.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn check(&self) -> Result<(), TransactionError> {
        let mut named = BTreeMap::new();
        for coin in self.gas.iter() {
            if named.insert(coin.id, false).is_some() {
                return Err(TransactionError::Repeated(coin.id));
            }
        }
        let first = self.gas.first().ok_or(TransactionError::NoGas)?;
        for used in self.kind.owned() {
            let is_gas = used == first && named.get(&used.id) == Some(&false);
            if named.insert(used.id, true).is_some() && !is_gas {
                return Err(TransactionError::Repeated(used.id));
            }
        }
        if let Some(shared) = self.kind.shared().filter(|shared| named.contains_key(shared)) {
            return Err(TransactionError::Repeated(shared));
        }
        match &self.kind {
            TransactionKind::TransferCoin { amount, .. }
            | TransactionKind::AddStake { amount, .. }
            | TransactionKind::WithdrawStake { amount, .. } => amounts(amount.as_slice()),
            TransactionKind::PayCoins {
                coins,
                amounts: paid,
                recipients,
            } => {
                if coins.is_empty() {
                    return Err(TransactionError::Empty("coins"));
                }
                let wanted = paid.as_ref().map_or(1, |paid| paid.len());
                if recipients.is_empty() {
                    return Err(TransactionError::Empty("recipients"));
                }
                if recipients.len() != wanted {
                    return Err(TransactionError::Unmatched {
                        amounts: wanted,
                        recipients: recipients.len(),
                    });
                }
                amounts(paid.as_deref().unwrap_or_default())
            }
            TransactionKind::TransferObjects { objects, .. } if objects.is_empty() => {
                Err(TransactionError::Empty("objects"))
            }
            TransactionKind::TransferObjects { .. } => Ok(()),
        }
    }
}

fn amounts(amounts: &[Shannons]) -> Result<(), TransactionError> {
    match amounts.iter().position(|amount| *amount == Shannons::ZERO) {
        Some(position) => Err(TransactionError::NothingPaid(position)),
        None => Ok(()),
    }
}

/// A transaction with its sender's signature. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTransaction {
    /// What is asked for.
    pub transaction: Transaction,
    /// By whom.
    pub signature: UserSignature,
}

impl SignedTransaction {
    /// Bytes of one at most.
    pub const MAX_BYTES: usize = 256 << 10;

    /// What is signed.
    pub const fn message<T: Serialize>(transaction: T) -> IntentMessage<T> {
        IntentMessage::new(Intent::soma(Scope::TransactionData), transaction)
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(self) -> Result<Verified<Transaction>, SignatureError> {
        let sender = self.transaction.sender;
        Verified::by_user(Self::message(self.transaction), &self.signature, sender)
    }
}
