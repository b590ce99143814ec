//! What a transaction did.

use std::fmt;

use crypto::{Address, Digest};
use serde::{Deserialize, Serialize};

use crate::{
    Attestation, Distance, EffectsDigest, Epoch, ObjectDigest, ObjectId, ObjectRef, Owner, ProtocolVersion,
    Rules, Shannons, TransactionDigest, UnixMillis, Verdict, Version, VotingPower,
};

/// Whether a transaction did what it was asked for. BCS: variants 0 and 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It did.
    Success,
    /// It changed nothing but what its fee took.
    Failure(Failure),
}

/// Why a transaction did nothing but pay. BCS: the variants from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// The gas coins do not hold what it costs. Pay with more.
    #[error("the gas coins hold {have} of the {need} that it costs: name more of them")]
    InsufficientGas {
        /// What they hold, less what the transaction takes from them.
        have: Shannons,
        /// What it would cost.
        need: Shannons,
    },
    /// An owned object was used, or given away, or is not there. Look up its latest version.
    #[error("object {} is not there in version {}: look up its latest version", .0.id, .0.version)]
    NotLive(ObjectRef),
    /// An object is not the sender's.
    #[error("object {0} is not the sender's: sign as its owner")]
    NotOwner(ObjectId),
    /// An object is not a coin.
    #[error("object {0} is no coin: name one")]
    NotACoin(ObjectId),
    /// The coins do not hold what is paid from them.
    #[error("the coins hold {have} of the {need} that are paid: pay less, or from more coins")]
    InsufficientBalance {
        /// What they hold.
        have: Shannons,
        /// What would be needed.
        need: Shannons,
    },
    /// An object is not there, or no validator.
    #[error("object {0} is no validator: look up those that there are")]
    NotAValidator(ObjectId),
    /// An object is no receipt for stake with this validator.
    #[error("object {0} is no stake with this validator: name the one whose receipt it is")]
    NotItsStake(ObjectId),
    /// Less than the least would be staked, withdrawn or left staked. Ask for more, or for everything.
    #[error("less than {0} would be staked, withdrawn or left: ask for more, or for everything")]
    StakeTooLittle(Shannons),
    /// Stake that leaves can only be waited for.
    #[error("the stake of receipt {0} is leaving: wait until it is paid")]
    StakeLeaving(ObjectId),
    /// What has left is not paid yet. Come back in this epoch, or without one, after the next end of an epoch.
    #[error("what has left is not due yet: come back {}", due(.0.as_ref()))]
    NotDue(Option<Epoch>),
    /// The pool takes no deposits: its owner has left, or it has lost nearly everything.
    #[error("the pool of {0} takes no deposits: stake with another")]
    PoolClosed(ObjectId),
    /// A sum is larger than any amount.
    #[error("a sum exceeds 2^64 - 1 shannons: ask for less")]
    Overflow,
    /// The rules contradict themselves: money would come from nowhere or go there. A bug; nothing was done.
    #[error("the transaction would change the supply: a bug, report it; nothing was done")]
    InvariantViolated,
    /// An account or a key is a validator's already. Use others.
    #[error("the account, or one of the keys, is validator {0}'s: use others")]
    Claimed(ObjectId),
    /// A key did not sign for the sender on this chain. Sign with all three.
    #[error("the keys are not proved to be the sender's on this chain: sign with all three")]
    InvalidProofOfPossession,
    /// Ask for less.
    #[error("a commission is at most {0} ten-thousandths: ask for less")]
    CommissionTooHigh(u16),
    /// Only members of the committee report, and are reported.
    #[error("validator {0} is no member of the committee: only members report, and are reported")]
    NotAMember(ObjectId),
    /// Nothing of a validator changes any more when it goes, or has gone. Register another one.
    #[error("validator {0} is leaving or has left: register another one")]
    ValidatorLeaving(ObjectId),
    /// There is nothing to take back.
    #[error("validator {0} was not reported: there is nothing to take back")]
    NotReported(ObjectId),
    /// Keys change once in an epoch. Come back in the next one.
    #[error("the keys of validator {0} change with the next epoch already: come back then")]
    KeysStaged(ObjectId),
    /// The blocks are not two that this validator signed. Name whoever did.
    #[error("the evidence is not against this validator: name the one whose key signed both blocks")]
    InvalidEvidence,
    /// The validator signed no blocks in that epoch, or it is too long ago.
    #[error(
        "evidence of epoch {0} is not accepted: the validator signed no blocks in it, or it is too long ago"
    )]
    EvidenceNotAccepted(Epoch),
    /// The validator has paid for that epoch.
    #[error("the validator was slashed for epoch {0}: show evidence of another")]
    AlreadySlashed(Epoch),
    /// An object is not there, or holds no stake.
    #[error("object {0} is no validator, and no model: look up those that there are")]
    NoPool(ObjectId),
    /// An object is not there, or no model.
    #[error("object {0} is no model: look up those that there are")]
    NotAModel(ObjectId),
    /// Use this one.
    #[error("models have architecture {0}: use this one")]
    WrongArchitecture(u32),
    /// A model is not as far as this needs, or too far. Look up its stage.
    #[error("model {0} is at another stage: look up which")]
    WrongStage(ObjectId),
    /// What has been committed to is not settled yet. Come back when it is.
    #[error("model {0} has an offer that is not settled: come back when it is")]
    OfferUnderWay(ObjectId),
    /// Weights are revealed in the epoch after their commitment, and in no other.
    #[error("the weights are to be revealed in epoch {0}, and in no other")]
    NotRevealEpoch(Epoch),
    /// The key, the weights or the embedding are not what was committed to, or by somebody else, or for another model.
    #[error(
        "what is revealed is not what was committed to: show the same key, weights and embedding, as the same owner"
    )]
    RevealMismatch,
    /// The file does not have as many bytes as an encrypted model.
    #[error("an encrypted model has {low} to {high} bytes: serve a file of the architecture")]
    WrongFileSize {
        /// At least.
        low: u64,
        /// At most.
        high: u64,
    },
    /// An embedding has another number of coordinates.
    #[error("an embedding has {0} coordinates: give as many")]
    WrongDimension(u32),
    /// The sender's validator is not to attest this, or has done so.
    #[error("validator {0} has nothing to attest: it is not asked, or has done so")]
    NothingToAttest(ObjectId),
    /// Lock more.
    #[error("the bond is at least {0}: lock more")]
    BondTooSmall(Shannons),
    /// An object is no ticket.
    #[error("object {0} is no ticket: name one")]
    NotATicket(ObjectId),
    /// A ticket is for another target.
    #[error("the ticket is for target {0}: fill that one, or give it back")]
    WrongTicket(ObjectId),
    /// A ticket can be opened in the epoch in which it was bought. Give it back.
    #[error("the ticket was for epoch {0}: give it back")]
    TicketExpired(Epoch),
    /// A ticket can be opened when it has some age. Wait.
    #[error("the ticket can be opened from {0} on: wait")]
    TicketTooYoung(UnixMillis),
    /// A ticket was bought for other data, another score or another salt, or by somebody else.
    #[error(
        "what is submitted is not what the ticket is bound to: show the same data, score and salt, as the same account"
    )]
    SubmissionMismatch,
    /// An object is not there, or no target.
    #[error("object {0} is no target: look up those that are open")]
    NotATarget(ObjectId),
    /// Somebody was faster. Give the ticket back, and try another target.
    #[error("target {0} is filled: give the ticket back, and try another target")]
    TargetFilled(ObjectId),
    /// A model does not compete for this target.
    #[error("model {0} does not compete for the target: name one that does")]
    NotAContender(ObjectId),
    /// Data has a byte at least, and not more than so many.
    #[error("data has 1 to {0} bytes: submit as many")]
    WrongDataSize(u32),
    /// The distance is not that of the embedding.
    #[error("the embedding is at a distance of {0} from the target: say so")]
    WrongDistance(Distance),
    /// The data is too far from the target.
    #[error("the target takes data at a distance of {0} at most: find nearer data")]
    TooFar(Distance),
    /// The same data has filled a target.
    #[error("the data has filled target {0}: find other data")]
    DataUsed(ObjectId),
    /// What was submitted is not settled.
    #[error("target {0} is not settled: come back after its audit")]
    NotSettled(ObjectId),
    /// It is too early, or too early for anybody else but the submitter and the owner of the model.
    #[error("the reward can be claimed from epoch {0} on: come back then")]
    NotClaimable(Epoch),
    /// The sender's validator has no seat in this audit, or has said it.
    #[error("validator {0} has nothing to audit: it has no seat, or has said it")]
    NothingToAudit(ObjectId),
    /// It is not the time for it.
    #[error("verdicts are sealed before {0}, and opened from then on: come back at the time for it")]
    WrongHalf(UnixMillis),
    /// What is opened is not what was sealed.
    #[error("the opening is not what was sealed: show the same finding and salt")]
    SealMismatch,
    /// Rules only ever change to those of a later version. Vote for one.
    #[error("version {0} of the protocol is in force: vote for a later one")]
    NotAnUpgrade(ProtocolVersion),
    /// A vote changes once in an epoch. Come back in the next one.
    #[error("validator {0} has voted in this epoch: come back in the next one")]
    AlreadyVoted(ObjectId),
}

fn due(epoch: Option<&Epoch>) -> String {
    match epoch {
        Some(epoch) => format!("in epoch {epoch}"),
        None => "after the end of this one".to_owned(),
    }
}

impl fmt::Display for Status {
    /// `success`, or why not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}

/// What a transaction cost, by what for. Nothing of it is given back. BCS: the fields in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fee {
    /// For being executed at all; or all that the gas coins hold, if that is less.
    pub base: Shannons,
    /// For the objects that it writes.
    pub write: Shannons,
    /// For the value that it moves.
    pub value: Shannons,
    /// For its bytes, and those that it stores.
    pub bytes: Shannons,
}

impl Fee {
    /// All of it. What exceeds every amount is left out, which no sum of parts of the supply does.
    pub fn total(&self) -> Shannons {
        let parts = [self.base, self.write, self.value, self.bytes];
        Shannons::checked_sum(parts).unwrap_or(Shannons::new(u64::MAX))
    }
}

/// Something that happened. BCS: the variants from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Money went from one to another.
    Paid {
        /// Whose it was.
        from: Address,
        /// Whose it is.
        to: Address,
        /// How much, before the fee where the payment is the gas coin itself.
        amount: Shannons,
    },
    /// An object other than a coin went from one to another.
    Given {
        /// Which.
        object: ObjectId,
        /// Whose it was.
        from: Address,
        /// Whose it is.
        to: Address,
    },
    /// Money was staked.
    Staked {
        /// With whom.
        pool: ObjectId,
        /// By whom.
        owner: Address,
        /// How much.
        amount: Shannons,
    },
    /// Stake began to leave.
    Leaving {
        /// From whom.
        pool: ObjectId,
        /// By whom.
        owner: Address,
        /// What it is worth as the epoch stands.
        amount: Shannons,
    },
    /// Stake that has left, or had not begun to earn, was paid.
    Withdrawn {
        /// From whom.
        pool: ObjectId,
        /// To whom.
        owner: Address,
        /// How much.
        amount: Shannons,
    },
    /// An epoch's reward came into a pool.
    Rewarded {
        /// Whose.
        pool: ObjectId,
        /// What its stakers share.
        amount: Shannons,
        /// What its owner has for itself, as stake.
        commission: Shannons,
    },
    /// A validator came into the committee with this epoch, or has left it.
    Member {
        /// Who.
        validator: ObjectId,
        /// Its power; none of one that has left.
        power: VotingPower,
    },
    /// An epoch could not be closed but for its end: nothing was handed out, and nobody came or went.
    SafeMode,
    /// Somebody wants to be a validator.
    Candidate {
        /// As which.
        validator: ObjectId,
        /// Who.
        address: Address,
    },
    /// A validator goes when the epoch closes.
    Resigned {
        /// Which.
        validator: ObjectId,
    },
    /// A member wants the rewards of another to be withheld, or no longer.
    Reported {
        /// Which other.
        validator: ObjectId,
        /// Which member.
        by: ObjectId,
        /// Whether it has taken it back.
        is_undone: bool,
    },
    /// A validator has changed what it says of itself, its keys or its commission: its object says to what.
    Updated {
        /// Which.
        validator: ObjectId,
    },
    /// A part of a pool went to the emission pool.
    Slashed {
        /// Whose.
        pool: ObjectId,
        /// How much.
        amount: Shannons,
    },
    /// A part of a reward went to the emission pool, since a quorum had reported its validator.
    Withheld {
        /// Whose.
        pool: ObjectId,
        /// How much.
        amount: Shannons,
    },
    /// There is a new model.
    ModelCreated {
        /// Which.
        model: ObjectId,
        /// Whose.
        owner: Address,
    },
    /// An owner has committed to weights.
    ModelCommitted {
        /// Of which model.
        model: ObjectId,
        /// To what.
        commitment: Digest,
    },
    /// These validators are to attest what is revealed of a model.
    CustodyDrawn {
        /// Of which.
        model: ObjectId,
        /// Who.
        custodians: Vec<ObjectId>,
    },
    /// An owner has shown weights.
    ModelRevealed {
        /// Of which model.
        model: ObjectId,
        /// Their digest.
        weights: Digest,
    },
    /// A validator has said what it has found.
    Attested {
        /// Of which model.
        model: ObjectId,
        /// Who.
        by: ObjectId,
        /// What.
        attestation: Attestation,
    },
    /// A model competes with these weights from the next epoch on.
    ModelActive {
        /// Which.
        model: ObjectId,
        /// Their digest.
        weights: Digest,
    },
    /// Weights that were committed to come to nothing.
    OfferDropped {
        /// Of which model.
        model: ObjectId,
    },
    /// A model competes no more, and takes no stake.
    ModelInactive {
        /// Which.
        model: ObjectId,
    },
    /// A model's owner changes its commission.
    ModelUpdated {
        /// Which.
        model: ObjectId,
    },
    /// There is a new target.
    TargetSpawned {
        /// Which.
        target: ObjectId,
        /// What is paid for it.
        reward: Shannons,
    },
    /// Somebody may fill a target.
    TicketBought {
        /// Which.
        target: ObjectId,
        /// Who.
        by: Address,
        /// What is locked.
        bond: Shannons,
    },
    /// A ticket was given back.
    TicketReturned {
        /// By whom.
        by: Address,
        /// What it has lost.
        lost: Shannons,
    },
    /// Somebody has filled a target.
    TargetFilled {
        /// Which.
        target: ObjectId,
        /// Who.
        by: Address,
        /// Which model is said to have won.
        winner: ObjectId,
    },
    /// These validators are to audit what was submitted.
    SeatsDrawn {
        /// For which target.
        target: ObjectId,
        /// Who.
        seats: Vec<ObjectId>,
    },
    /// A validator has sealed what it has found.
    Sealed {
        /// For which target.
        target: ObjectId,
        /// Who.
        by: ObjectId,
    },
    /// A validator has opened what it has sealed.
    Opened {
        /// For which target.
        target: ObjectId,
        /// Who.
        by: ObjectId,
        /// What it has found.
        verdict: Verdict,
    },
    /// What was submitted is settled.
    Settled {
        /// For which target.
        target: ObjectId,
        /// Whether the submitter was right; nobody knows where there is none.
        outcome: Option<Verdict>,
    },
    /// A target was not filled. Its reward is the emission pool's.
    TargetUnfilled {
        /// Which.
        target: ObjectId,
    },
    /// A submitter was paid.
    Claimed {
        /// For which target.
        target: ObjectId,
        /// Who.
        submitter: Address,
        /// How much, the bond included.
        amount: Shannons,
        /// What somebody else has for it.
        finder_fee: Shannons,
    },
    /// A verdict was false, and cost a part of the validator's pool.
    FalseVerdict {
        /// For which target.
        target: ObjectId,
        /// Whose.
        by: ObjectId,
        /// How much.
        amount: Shannons,
    },
    /// A validator has said which rules it wants.
    UpgradeVoted {
        /// Who.
        validator: ObjectId,
        /// Which; none if it has taken its vote back.
        rules: Option<Rules>,
    },
    /// The next epoch has other rules.
    Upgraded {
        /// These.
        rules: Rules,
        /// What wanted them.
        power: VotingPower,
    },
}

/// One side of a change. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectState {
    /// The version.
    pub version: Version,
    /// What it is then.
    pub digest: ObjectDigest,
    /// Whose it is then.
    pub owner: Owner,
}

/// What became of an object. Without `before` it was created, without `after` deleted. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which.
    pub id: ObjectId,
    /// What it was.
    pub before: Option<ObjectState>,
    /// What it is.
    pub after: Option<ObjectState>,
}

/// What a transaction did. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// Which transaction.
    pub transaction: TransactionDigest,
    /// In which epoch.
    pub epoch: Epoch,
    /// Whether it did what it was asked for.
    pub status: Status,
    /// What it cost.
    pub fee: Fee,
    /// The version of everything that it wrote.
    pub version: Version,
    /// Ascending by id.
    pub changes: Vec<Change>,
    /// The transactions that wrote what it used, ascending, each once.
    pub dependencies: Vec<TransactionDigest>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

impl Effects {
    /// `H(Effects:: ‖ BCS)`.
    pub fn digest(&self) -> EffectsDigest {
        EffectsDigest::new(Digest::of_value("Effects", self))
    }
}
