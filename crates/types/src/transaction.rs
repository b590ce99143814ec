//! What a user asks for, and signs.

use std::collections::BTreeMap;

use crypto::{
    Address, Digest, Ed25519Scheme, Intent, IntentMessage, Scope, SignatureError, UserSignature, Verified,
};
use serde::{Deserialize, Serialize};

use crate::{
    Attestation, Bounded, ChainId, Epoch, Equivocation, Line, Manifest, Metadata, ObjectId, ObjectRef,
    Opening, ProvedKeys, Reveal, Rules, Score, Shannons, TransactionDigest, Validator, receipt_id,
};

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
    /// Makes the sender a validator, which comes in with the first epoch for which its stake suffices.
    AddValidator {
        /// Its keys, for this chain and the sender.
        keys: Box<ProvedKeys>,
        /// What it says of itself.
        metadata: Box<Metadata>,
        /// Its part of what its stakers earn, in ten-thousandths; the usual one if it is not said.
        commission_bps: Option<u16>,
        /// The sender's, for the first stake. It may be the first gas coin, which then has to hold the fee besides.
        coin: ObjectRef,
        /// How much; the whole coin if it is not said.
        amount: Option<Shannons>,
    },
    /// Lets a validator go when this epoch closes, candidates as well.
    RemoveValidator {
        /// The sender's.
        validator: ObjectId,
    },
    /// Wants the rewards of a member to be withheld, until this is undone or one of both has gone.
    ReportValidator {
        /// The sender's, a member.
        validator: ObjectId,
        /// Another member.
        reported: ObjectId,
    },
    /// Takes that back.
    UndoReportValidator {
        /// The sender's, a member.
        validator: ObjectId,
        /// Whom it has reported.
        reported: ObjectId,
    },
    /// Changes what is said. Keys and the address for members change with the next epoch, the rest at once.
    UpdateValidatorMetadata {
        /// The sender's.
        validator: ObjectId,
        /// What it is called.
        name: Option<Line>,
        /// Where the members of the committee reach it.
        network_address: Option<Line>,
        /// Where everybody reaches it.
        proxy_address: Option<Line>,
        /// All its keys, those that stay included, for this chain and the sender.
        keys: Option<Box<ProvedKeys>>,
    },
    /// Changes a commission with the next epoch.
    SetCommissionRate {
        /// The sender's.
        validator: ObjectId,
        /// The validator's part of what its stakers earn, in ten-thousandths.
        commission_bps: u16,
    },
    /// Shows that a validator signed two blocks for one slot. Anybody may.
    ReportEquivocation {
        /// Whose key signed them.
        validator: ObjectId,
        /// Both blocks.
        evidence: Box<Equivocation<Ed25519Scheme>>,
    },
    /// Makes a model of the sender's, without weights yet.
    CreateModel {
        /// What its weights are going to be the weights of.
        architecture: u32,
        /// The owner's part of what its stakers earn, in ten-thousandths.
        commission_bps: u16,
        /// The sender's, for the first stake. It may be the first gas coin, which then has to hold the fee besides.
        coin: ObjectRef,
        /// How much; the whole coin if it is not said.
        amount: Option<Shannons>,
    },
    /// Commits to weights: the first ones, or others for a model that competes.
    CommitModel {
        /// The sender's.
        model: ObjectId,
        /// The encrypted file.
        manifest: Box<Manifest>,
        /// As [`Reveal::commitment`] says.
        commitment: Digest,
        /// The sender's, which pays those who attest. It may be the first gas coin.
        coin: ObjectRef,
    },
    /// Shows what was committed to, in the epoch after.
    RevealModel {
        /// The sender's.
        model: ObjectId,
        /// The key, and what it opens.
        reveal: Box<Reveal>,
    },
    /// Changes a model's commission with the next epoch.
    SetModelCommissionRate {
        /// The sender's.
        model: ObjectId,
        /// The owner's part of what its stakers earn, in ten-thousandths.
        commission_bps: u16,
    },
    /// Lets a model compete no more.
    DeactivateModel {
        /// The sender's, which competes.
        model: ObjectId,
    },
    /// Stakes with a model.
    AddStakeToModel {
        /// With which.
        model: ObjectId,
        /// The sender's. It may be the first gas coin, which then has to hold the fee besides.
        coin: ObjectRef,
        /// How much; the whole coin if it is not said.
        amount: Option<Shannons>,
    },
    /// Says what a validator has found of revealed weights. It is a duty, and free.
    AttestCustody {
        /// The sender's.
        validator: ObjectId,
        /// Whose weights.
        model: ObjectId,
        /// What was found.
        attestation: Attestation,
    },
    /// Buys a ticket for a target.
    CommitSubmission {
        /// For which.
        target: ObjectId,
        /// As [`Score::commitment`] says.
        commitment: Digest,
        /// What is locked: the target's reward, and something for each byte of the data.
        bond: Shannons,
        /// The sender's. It may be the first gas coin.
        coin: ObjectRef,
    },
    /// Opens a ticket, and fills its target.
    SubmitData {
        /// Which.
        target: ObjectId,
        /// The sender's.
        ticket: ObjectRef,
        /// Where the data is.
        data: Box<Manifest>,
        /// What the models make of it.
        score: Box<Score>,
        /// With which the ticket was bound to all that.
        salt: [u8; 32],
    },
    /// Gives a ticket back, for its bond less a fee.
    ReturnTicket {
        /// The sender's.
        ticket: ObjectRef,
    },
    /// Pays what a submitter has earned.
    ClaimRewards {
        /// For which target.
        target: ObjectId,
    },
    /// Says what a validator has found without telling it. It is a duty, and free.
    SealVerdict {
        /// The sender's.
        validator: ObjectId,
        /// Of which target.
        target: ObjectId,
        /// As [`Opening::seal`] says.
        seal: Digest,
    },
    /// Tells what a validator has sealed. It is a duty, and free.
    OpenVerdict {
        /// The sender's.
        validator: ObjectId,
        /// Of which target.
        target: ObjectId,
        /// What was found.
        opening: Opening,
        /// With which it was sealed.
        salt: [u8; 32],
    },
    /// Says which rules a validator wants from the end of an epoch on. It is a duty, and free, once in an epoch.
    VoteUpgrade {
        /// The sender's, which does not leave.
        validator: ObjectId,
        /// Those of a later version; none takes its vote back.
        rules: Option<Rules>,
    },
}

impl TransactionKind {
    /// Whether it is a validator's duty, which costs nothing.
    pub const fn is_duty(&self) -> bool {
        matches!(
            self,
            Self::AttestCustody { .. }
                | Self::SealVerdict { .. }
                | Self::OpenVerdict { .. }
                | Self::VoteUpgrade { .. }
        )
    }

    /// The owned objects that it uses, as often as it names them.
    pub fn owned(&self) -> &[ObjectRef] {
        match self {
            Self::TransferCoin { coin, .. }
            | Self::AddStake { coin, .. }
            | Self::AddValidator { coin, .. }
            | Self::CreateModel { coin, .. }
            | Self::CommitModel { coin, .. }
            | Self::AddStakeToModel { coin, .. }
            | Self::CommitSubmission { coin, .. } => std::slice::from_ref(coin),
            Self::SubmitData { ticket, .. } | Self::ReturnTicket { ticket } => std::slice::from_ref(ticket),
            Self::PayCoins { coins, .. } => coins,
            Self::TransferObjects { objects, .. } => objects,
            Self::WithdrawStake { stake, .. } => std::slice::from_ref(stake),
            Self::RemoveValidator { .. }
            | Self::ReportValidator { .. }
            | Self::UndoReportValidator { .. }
            | Self::UpdateValidatorMetadata { .. }
            | Self::SetCommissionRate { .. }
            | Self::ReportEquivocation { .. }
            | Self::RevealModel { .. }
            | Self::SetModelCommissionRate { .. }
            | Self::DeactivateModel { .. }
            | Self::AttestCustody { .. }
            | Self::ClaimRewards { .. }
            | Self::SealVerdict { .. }
            | Self::OpenVerdict { .. }
            | Self::VoteUpgrade { .. } => &[],
        }
    }

    /// The shared objects that it uses when this sender asks for it, and those that must not be there: each once.
    pub fn shared(&self, sender: Address) -> Vec<ObjectId> {
        match self {
            Self::TransferCoin { .. }
            | Self::PayCoins { .. }
            | Self::TransferObjects { .. }
            | Self::CreateModel { .. }
            | Self::CommitSubmission { .. }
            | Self::ReturnTicket { .. } => vec![],
            Self::SubmitData { target, data, .. } => vec![*target, receipt_id(data.checksum)],
            Self::ClaimRewards { target } => vec![*target],
            Self::SealVerdict {
                validator, target, ..
            }
            | Self::OpenVerdict {
                validator, target, ..
            } => vec![*validator, *target],
            Self::CommitModel { model, .. }
            | Self::RevealModel { model, .. }
            | Self::SetModelCommissionRate { model, .. }
            | Self::DeactivateModel { model }
            | Self::AddStakeToModel { model, .. } => vec![*model],
            Self::AttestCustody { validator, model, .. } => vec![*validator, *model],
            Self::AddStake { validator, .. }
            | Self::WithdrawStake { validator, .. }
            | Self::RemoveValidator { validator }
            | Self::UndoReportValidator { validator, .. }
            | Self::SetCommissionRate { validator, .. }
            | Self::ReportEquivocation { validator, .. }
            | Self::VoteUpgrade { validator, .. } => vec![*validator],
            Self::ReportValidator { validator, reported } => vec![*validator, *reported],
            Self::AddValidator { keys, .. } => {
                let keys = keys.keys.claims().into_iter();
                keys.chain([Validator::claim(sender)]).collect()
            }
            Self::UpdateValidatorMetadata { validator, keys, .. } => {
                let keys = keys.iter().flat_map(|keys| keys.keys.claims());
                keys.chain([*validator]).collect()
            }
        }
    }

    /// How many objects it creates at most, beside those that [`shared`](Self::shared) names.
    pub fn creates(&self) -> usize {
        match self {
            Self::TransferCoin { amount, .. } => usize::from(amount.is_some()),
            Self::PayCoins { amounts, .. } => amounts.as_ref().map_or(0, |amounts| amounts.len()),
            Self::TransferObjects { .. } => 0,
            Self::AddStake { .. }
            | Self::WithdrawStake { .. }
            | Self::AddStakeToModel { .. }
            | Self::CommitSubmission { .. }
            | Self::SubmitData { .. }
            | Self::ReturnTicket { .. } => 1,
            Self::AddValidator { .. } | Self::CreateModel { .. } | Self::ClaimRewards { .. } => 2,
            Self::RemoveValidator { .. }
            | Self::ReportValidator { .. }
            | Self::UndoReportValidator { .. }
            | Self::UpdateValidatorMetadata { .. }
            | Self::SetCommissionRate { .. }
            | Self::ReportEquivocation { .. }
            | Self::CommitModel { .. }
            | Self::RevealModel { .. }
            | Self::SetModelCommissionRate { .. }
            | Self::DeactivateModel { .. }
            | Self::AttestCustody { .. }
            | Self::SealVerdict { .. }
            | Self::OpenVerdict { .. }
            | Self::VoteUpgrade { .. } => 0,
        }
    }
}

/// What a user asks for. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// On which chain. A signature for one is worth nothing on another.
    pub chain: ChainId,
    /// The last epoch in which it may be executed; of a duty, the only one.
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
    #[error("no gas coin is named: name one that pays")]
    NoGas,
    /// A duty names coins to pay with.
    #[error("a duty costs nothing, and names no gas coin")]
    GasForDuty,
    /// A duty could come again in another epoch: nothing is used up by it.
    #[error("a duty is for one epoch: name it as the last one in which it may be executed")]
    DutyWithoutEpoch,
    /// An object is named twice. Only the first gas coin may be used by the kind as well, in the same version.
    #[error("object {0} is named more than once: name it once")]
    Repeated(ObjectId),
    /// A list that must have something has nothing.
    #[error("`{0}` is empty: name something")]
    Empty(&'static str),
    /// Amounts and recipients do not match.
    #[error("{recipients} recipients for {amounts} amounts: name as many of both")]
    Unmatched {
        /// How many amounts; one without any.
        amounts: usize,
        /// How many recipients.
        recipients: usize,
    },
    /// An amount of nothing.
    #[error("amount {0}, counted from 0, is nothing: pay a shannon at least")]
    NothingPaid(usize),
    /// A validator reports itself.
    #[error("a validator reports itself: name another")]
    ReportsItself,
    /// One key is to be two.
    #[error("the key of the connections is that of the blocks: make another")]
    SameKey,
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
        let first = self.gas.first();
        match (self.kind.is_duty(), first) {
            (false, None) => return Err(TransactionError::NoGas),
            (true, Some(_)) => return Err(TransactionError::GasForDuty),
            (true, None) if self.expiry.is_none() => return Err(TransactionError::DutyWithoutEpoch),
            (false, Some(_)) | (true, None) => {}
        }
        for used in self.kind.owned() {
            let is_gas = Some(used) == first && named.get(&used.id) == Some(&false);
            if named.insert(used.id, true).is_some() && !is_gas {
                return Err(TransactionError::Repeated(used.id));
            }
        }
        let mut shared = self.kind.shared(self.sender).into_iter();
        if let Some(shared) = shared.find(|shared| named.contains_key(shared)) {
            return Err(TransactionError::Repeated(shared));
        }
        match &self.kind {
            TransactionKind::TransferCoin { amount, .. }
            | TransactionKind::AddStake { amount, .. }
            | TransactionKind::WithdrawStake { amount, .. }
            | TransactionKind::CreateModel { amount, .. }
            | TransactionKind::AddStakeToModel { amount, .. } => amounts(amount.as_slice()),
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
            TransactionKind::TransferObjects { .. }
            | TransactionKind::RemoveValidator { .. }
            | TransactionKind::SetCommissionRate { .. }
            | TransactionKind::ReportEquivocation { .. }
            | TransactionKind::RevealModel { .. }
            | TransactionKind::SetModelCommissionRate { .. }
            | TransactionKind::DeactivateModel { .. }
            | TransactionKind::AttestCustody { .. }
            | TransactionKind::ReturnTicket { .. }
            | TransactionKind::ClaimRewards { .. }
            | TransactionKind::SealVerdict { .. }
            | TransactionKind::OpenVerdict { .. }
            | TransactionKind::VoteUpgrade { .. } => Ok(()),
            TransactionKind::CommitSubmission { bond, .. } => amounts(&[*bond]),
            TransactionKind::SubmitData { data, .. } if data.url.as_str().is_empty() => {
                Err(TransactionError::Empty("url"))
            }
            TransactionKind::SubmitData { .. } => Ok(()),
            TransactionKind::CommitModel { manifest, .. } if manifest.url.as_str().is_empty() => {
                Err(TransactionError::Empty("url"))
            }
            TransactionKind::CommitModel { .. } => Ok(()),
            TransactionKind::AddValidator { keys, amount, .. } => {
                distinct(keys).and_then(|()| amounts(amount.as_slice()))
            }
            TransactionKind::ReportValidator { validator, reported }
            | TransactionKind::UndoReportValidator { validator, reported } => {
                let is_other = validator != reported;
                is_other.then_some(()).ok_or(TransactionError::ReportsItself)
            }
            TransactionKind::UpdateValidatorMetadata {
                name,
                network_address,
                proxy_address,
                keys,
                ..
            } => match keys {
                Some(keys) => distinct(keys),
                None if name.is_none() && network_address.is_none() && proxy_address.is_none() => {
                    Err(TransactionError::Empty("changes"))
                }
                None => Ok(()),
            },
        }
    }
}

fn distinct(keys: &ProvedKeys) -> Result<(), TransactionError> {
    let is_distinct = keys.keys.network != keys.keys.consensus;
    is_distinct.then_some(()).ok_or(TransactionError::SameKey)
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
