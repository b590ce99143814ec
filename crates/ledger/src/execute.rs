//! One transaction, from what it may read to what it writes.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Digest, Verified};
use types::{
    ChainId, Change, CommitIndex, Effects, Epoch, Failure, Fee, ObjectId, ObjectRef, ProtocolParams,
    Shannons, Status, System, Transaction, TransactionDigest, TransactionError, TransactionKind, UnixMillis,
    Version,
};

use crate::audits;
use crate::coins;
use crate::fees::Prices;
use crate::gas;
use crate::models;
use crate::overlay::Overlay;
use crate::stake;
use crate::state::{Live, Objects};
use crate::targets;
use crate::upgrade;
use crate::validators;

/// What all transactions of a commit see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The system.
    pub system: System,
    /// Which commit of the epoch it is.
    pub commit: CommitIndex,
    /// When it is.
    pub at: UnixMillis,
    /// What things cost.
    pub prices: Prices,
    /// The numbers of the rules in force.
    pub params: ProtocolParams,
    /// The beacon that is new with the commit.
    pub beacon: Option<Digest>,
}

/// Why a transaction is as if it had never been: it cannot even pay. Whoever put it into a block is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// It means nothing.
    #[error(transparent)]
    Malformed(#[from] TransactionError),
    /// It was signed for another chain.
    #[error("it is for chain {0}: sign it for this one")]
    WrongChain(ChainId),
    /// Its time is over.
    #[error("it expired with epoch {0}: sign it anew, with a later one")]
    Expired(Epoch),
    /// A duty is for a later epoch, and no other.
    #[error("the duty is for epoch {0}: come back then")]
    DutyTooEarly(Epoch),
    /// The first gas coin was used, or given away, or never was.
    #[error("gas coin {} is not there in version {}: look up its latest version", .0.id, .0.version)]
    GasNotLive(ObjectRef),
    /// The first gas coin is not the sender's.
    #[error("gas coin {0} is not the sender's: pay with an own one")]
    GasNotOwned(ObjectId),
    /// The first gas object is no coin.
    #[error("object {0} is named for gas and is no coin: pay with one")]
    GasNotACoin(ObjectId),
    /// A duty that nobody owes: nothing pays for it.
    #[error("the duty is none: {0}")]
    NoDuty(Failure),
}

/// What is written at an id: the new version or, where it is deleted, nothing.
pub type Writes = BTreeMap<ObjectId, Option<Live>>;

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What everybody is told.
    pub effects: Effects,
    /// What the state takes in.
    pub writes: Writes,
    /// What it adds to what all transactions of the commit add to.
    pub accrual: Accrual,
}

/// Sums and sets that do not depend on the order of transactions. They are applied once, at the end of the commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accrual {
    /// Fees that were paid.
    pub fees: Shannons,
    /// What was slashed, for the emission pool.
    pub slashed: Shannons,
    /// Who wants to be a validator.
    pub pending: BTreeSet<ObjectId>,
    /// Which validators go when the epoch closes.
    pub leaving: BTreeSet<ObjectId>,
    /// New models.
    pub created: BTreeSet<ObjectId>,
    /// Models for whose offers custodians are to be drawn.
    pub undrawn: BTreeSet<ObjectId>,
    /// Targets that were filled.
    pub filled: BTreeSet<ObjectId>,
}

impl Accrual {
    /// Both together. No more is paid than there is.
    #[must_use]
    pub fn and(mut self, mut other: Self) -> Self {
        let sum = |one: Shannons, other| {
            one.checked_add(other)
                .expect("what a commit moves is part of the supply")
        };
        self.pending.append(&mut other.pending);
        self.leaving.append(&mut other.leaving);
        self.created.append(&mut other.created);
        self.undrawn.append(&mut other.undrawn);
        self.filled.append(&mut other.filled);
        Self {
            fees: sum(self.fees, other.fees),
            slashed: sum(self.slashed, other.slashed),
            ..self
        }
    }
}

/// Executes a transaction, whose digest this is, on the objects that it names.
///
/// Contract: a function of the context, the transaction and the latest versions of the system and of the objects that it names. A
/// failure writes nothing but what pays, and new versions of the owned objects that it names.
///
/// # Errors
/// [`Reject`]: it has no effects at all.
pub fn execute(
    context: &Context,
    objects: &impl Objects,
    transaction: &Verified<Transaction>,
    digest: TransactionDigest,
) -> Result<Outcome, Reject> {
    transaction.check()?;
    if transaction.chain != context.system.chain {
        return Err(Reject::WrongChain(transaction.chain));
    }
    if let Some(expiry) = transaction.expiry.filter(|expiry| *expiry < context.system.epoch) {
        return Err(Reject::Expired(expiry));
    }
    if let Some(epoch) = transaction.expiry.filter(|epoch| *epoch > context.system.epoch)
        && transaction.kind.is_duty()
    {
        return Err(Reject::DutyTooEarly(epoch));
    }
    let named = named(transaction);
    let shared = transaction.kind.shared(transaction.sender);
    let ids = named.iter().map(|named| named.id).chain(shared.iter().copied());
    let inputs: BTreeMap<ObjectId, Live> = ids.filter_map(|id| Some((id, objects.get(&id)?))).collect();
    let run = Run {
        context,
        transaction,
        digest,
        inputs: &inputs,
        gas: transaction.gas.first().map(|gas| gas.id),
        version: next_version(objects, &inputs, &named, &shared),
        named: &named,
        shared: &shared,
    };
    let Some(gas) = run.gas else {
        let overlay = run.serve().map_err(Reject::NoDuty)?;
        return Ok(run.outcome((overlay, Fee::default(), Status::Success)));
    };
    run.check_gas()?;
    let done = match run.attempt(gas) {
        Ok((overlay, fee)) => (overlay, fee, Status::Success),
        Err(failure) => {
            let (overlay, fee) = run.pay_only(gas);
            (overlay, fee, Status::Failure(failure))
        }
    };
    Ok(run.outcome(done))
}

/// The objects that a transaction names, each once.
fn named(transaction: &Transaction) -> BTreeSet<ObjectRef> {
    transaction
        .gas
        .iter()
        .chain(transaction.kind.owned())
        .copied()
        .collect()
}

/// Above every version that the transaction uses. What is not there may have been: it went at the end of an epoch, which wrote the
/// system above all that went with it, so the system stands for it, and no version of an object comes twice.
fn next_version(
    objects: &impl Objects,
    inputs: &BTreeMap<ObjectId, Live>,
    named: &BTreeSet<ObjectRef>,
    shared: &[ObjectId],
) -> Version {
    let used = named.iter().filter_map(|named| {
        let found = inputs.get(&named.id)?.reference();
        (found == *named).then_some(found.version)
    });
    let system = || objects.get(&System::ID);
    let shared = shared
        .iter()
        .filter_map(|id| Some(inputs.get(id).cloned().or_else(system)?.reference().version));
    let highest = used.chain(shared).max().unwrap_or_default();
    highest
        .next()
        .expect("2^64 writes of one object take longer than the chain lasts")
}

struct Run<'a> {
    context: &'a Context,
    transaction: &'a Transaction,
    digest: TransactionDigest,
    inputs: &'a BTreeMap<ObjectId, Live>,
    named: &'a BTreeSet<ObjectRef>,
    shared: &'a [ObjectId],
    gas: Option<ObjectId>,
    version: Version,
}

impl<'a> Run<'a> {
    fn overlay(&self) -> Overlay<'a> {
        Overlay::new(self.digest, self.gas, self.inputs)
    }

    fn check_gas(&self) -> Result<(), Reject> {
        let overlay = self.overlay();
        let Some(gas) = self.transaction.gas.first() else {
            return Err(TransactionError::NoGas.into());
        };
        match overlay.owned(gas, self.transaction.sender) {
            Ok(()) => {}
            Err(Failure::NotOwner(id)) => return Err(Reject::GasNotOwned(id)),
            Err(_) => return Err(Reject::GasNotLive(*gas)),
        }
        let is_coin = overlay.balance(&gas.id).is_ok();
        is_coin.then_some(()).ok_or(Reject::GasNotACoin(gas.id))
    }

    /// Does what the transaction asks for, and pays for it.
    fn attempt(&self, gas: ObjectId) -> Result<(Overlay<'a>, Fee), Failure> {
        let (context, transaction) = (self.context, self.transaction);
        let mut overlay = self.overlay();
        let (paid, verdict) = gas::collect(&mut overlay, gas, transaction, &context.prices);
        verdict?;
        for used in transaction.kind.owned() {
            if used.id != gas {
                overlay.owned(used, transaction.sender)?;
            }
        }
        let moved = self.apply(&mut overlay)?;
        self.touch(&mut overlay);
        let fee = gas::settle(&mut overlay, gas, paid, moved, &context.prices)?;
        overlay.check_supply(&fee)?;
        Ok((overlay, fee))
    }

    /// Does a duty, which uses nothing that is owned.
    fn serve(&self) -> Result<Overlay<'a>, Failure> {
        let mut overlay = self.overlay();
        self.apply(&mut overlay)?;
        overlay.check_supply(&Fee::default())?;
        Ok(overlay)
    }

    /// Pays for being executed, and nothing else.
    fn pay_only(&self, gas: ObjectId) -> (Overlay<'a>, Fee) {
        let mut overlay = self.overlay();
        let (fee, _) = gas::collect(&mut overlay, gas, self.transaction, &self.context.prices);
        self.touch(&mut overlay);
        overlay.close_gas();
        (overlay, fee)
    }

    fn apply(&self, overlay: &mut Overlay<'_>) -> Result<coins::Moved, Failure> {
        let (context, from) = (self.context, self.transaction.sender);
        match &self.transaction.kind {
            TransactionKind::TransferCoin {
                coin,
                amount,
                recipient,
            } => coins::transfer(overlay, from, coin, *amount, *recipient),
            TransactionKind::PayCoins {
                coins,
                amounts,
                recipients,
            } => coins::pay(overlay, from, coins, amounts.as_deref(), recipients),
            TransactionKind::TransferObjects { objects, recipient } => {
                coins::give(overlay, from, objects, *recipient)
            }
            TransactionKind::AddStake {
                validator,
                coin,
                amount,
            } => {
                let wanted = stake::Wanted {
                    coin: *coin,
                    amount: *amount,
                };
                stake::add(overlay, from, *validator, &wanted)
            }
            TransactionKind::WithdrawStake {
                validator,
                stake,
                amount,
            } => stake::withdraw(overlay, context, from, *validator, stake, *amount),
            TransactionKind::AddValidator {
                keys,
                metadata,
                commission_bps,
                coin,
                amount,
            } => {
                let new = validators::New {
                    keys,
                    metadata,
                    commission_bps: *commission_bps,
                };
                let wanted = stake::Wanted {
                    coin: *coin,
                    amount: *amount,
                };
                validators::add(overlay, context, from, new, &wanted)
            }
            TransactionKind::RemoveValidator { validator } => validators::remove(overlay, from, *validator),
            TransactionKind::ReportValidator { validator, reported } => {
                validators::report(overlay, from, *validator, *reported)
            }
            TransactionKind::UndoReportValidator { validator, reported } => {
                validators::undo_report(overlay, from, *validator, *reported)
            }
            TransactionKind::UpdateValidatorMetadata {
                validator,
                name,
                network_address,
                proxy_address,
                keys,
            } => {
                let change = validators::Change {
                    name: name.as_ref(),
                    network_address: network_address.as_ref(),
                    proxy_address: proxy_address.as_ref(),
                    keys: keys.as_deref(),
                };
                validators::update(overlay, context, from, *validator, change)
            }
            TransactionKind::SetCommissionRate {
                validator,
                commission_bps,
            } => validators::set_commission(overlay, context, from, *validator, *commission_bps),
            TransactionKind::CreateModel {
                architecture,
                commission_bps,
                coin,
                amount,
            } => {
                let wanted = stake::Wanted {
                    coin: *coin,
                    amount: *amount,
                };
                models::create(overlay, context, from, (*architecture, *commission_bps), &wanted)
            }
            TransactionKind::CommitModel {
                model,
                manifest,
                commitment,
                coin,
            } => models::commit(overlay, context, from, *model, (manifest, *commitment), coin.id),
            TransactionKind::RevealModel { model, reveal } => {
                models::reveal(overlay, context, from, *model, reveal)
            }
            TransactionKind::SetModelCommissionRate {
                model,
                commission_bps,
            } => models::set_commission(overlay, from, *model, *commission_bps),
            TransactionKind::DeactivateModel { model } => models::deactivate(overlay, from, *model),
            TransactionKind::AddStakeToModel { model, coin, amount } => {
                let wanted = stake::Wanted {
                    coin: *coin,
                    amount: *amount,
                };
                models::add_stake(overlay, from, *model, &wanted)
            }
            TransactionKind::AttestCustody {
                validator,
                model,
                attestation,
            } => models::attest(overlay, from, *validator, *model, *attestation),
            TransactionKind::CommitSubmission {
                target,
                commitment,
                bond,
                coin,
            } => targets::buy(overlay, context, from, (*target, *commitment), *bond, coin.id),
            TransactionKind::SubmitData {
                target,
                ticket,
                data,
                score,
                salt,
            } => {
                let submission = targets::Submission {
                    ticket: ticket.id,
                    data,
                    score,
                    salt: *salt,
                };
                targets::submit(overlay, context, from, *target, &submission)
            }
            TransactionKind::ReturnTicket { ticket } => {
                targets::return_ticket(overlay, context, from, ticket.id)
            }
            TransactionKind::ClaimRewards { target } => targets::claim(overlay, context, from, *target),
            TransactionKind::SealVerdict {
                validator,
                target,
                seal,
            } => audits::seal(overlay, context, from, (*validator, *target), *seal),
            TransactionKind::OpenVerdict {
                validator,
                target,
                opening,
                salt,
            } => audits::open(overlay, context, from, (*validator, *target), *opening, *salt),
            TransactionKind::VoteUpgrade { validator, rules } => {
                upgrade::vote(overlay, context, from, *validator, *rules)
            }
            TransactionKind::ReportEquivocation { validator, evidence } => {
                validators::punish(overlay, context, *validator, evidence)
            }
        }
    }

    /// Every owned object that was named has a new version, so that no other transaction can use the same one.
    fn touch(&self, overlay: &mut Overlay<'_>) {
        for used in self.named {
            let is_used = overlay.owned(used, self.transaction.sender).is_ok();
            if let Some(draft) = overlay.get(&used.id).filter(|_| is_used) {
                overlay.put(used.id, draft);
            }
        }
    }

    fn outcome(&self, (overlay, fee, status): (Overlay<'_>, Fee, Status)) -> Outcome {
        let (writes, changes) = written(&overlay, self.version);
        let is_named = |live: &Live| self.named.contains(&live.reference());
        let is_shared = |live: &Live| self.shared.contains(&live.object().id);
        let used = self
            .inputs
            .values()
            .filter(|live| is_named(live) || is_shared(live));
        let dependencies: BTreeSet<TransactionDigest> = used.map(|live| live.object().previous).collect();
        let accrual = Accrual {
            fees: fee.total(),
            ..overlay.accrual.clone()
        };
        let effects = Effects {
            transaction: self.digest,
            epoch: self.context.system.epoch,
            status,
            fee,
            version: self.version,
            changes,
            dependencies: dependencies.into_iter().collect(),
            events: overlay.into_events(),
        };
        Outcome {
            effects,
            writes,
            accrual,
        }
    }
}

/// What an overlay comes to, with this version.
pub(crate) fn written(overlay: &Overlay<'_>, version: Version) -> (Writes, Vec<Change>) {
    let (mut writes, mut changes) = (Writes::new(), Vec::new());
    for (id, draft) in overlay.changes() {
        let after = draft
            .clone()
            .map(|draft| Live::new(overlay.seal(*id, draft, version)));
        let before = overlay.before(id);
        // What was created and deleted again has never been.
        if before.is_none() && after.is_none() {
            continue;
        }
        changes.push(Change {
            id: *id,
            before: before.map(Live::state),
            after: after.as_ref().map(Live::state),
        });
        writes.insert(*id, after);
    }
    (writes, changes)
}
