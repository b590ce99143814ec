//! What becomes of targets when an epoch closes.

use std::collections::{BTreeMap, BTreeSet};

use types::{
    Audit, AuditRound, Content, Economy, Event, Fill, ObjectId, Opening, Owner, Rounding, Seat, Shannons,
    Target, Targets, Validators, Verdict, VotingPower, receipt_id,
};

use super::{Close, CloseError};
use crate::difficulty;
use crate::emission::{Emission, target_reward};
use crate::{pacing, pool};

/// What the audits of an epoch come to.
#[derive(Debug, Default)]
pub(super) struct Audited {
    /// What models have earned.
    pub models: BTreeMap<ObjectId, Shannons>,
    /// Of each validator that had a seat how many, and in how many it has done its duty.
    pub duties: BTreeMap<ObjectId, (u64, u64)>,
    /// Targets that the whole next committee is to audit.
    pub unclear: Vec<ObjectId>,
}

impl Audited {
    fn note(&mut self, validator: ObjectId, has_served: bool) {
        let (seats, served) = self.duties.entry(validator).or_default();
        *seats += 1;
        *served += u64::from(has_served);
    }
}

/// How an audit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// With this, by all who count.
    Found(Opening),
    /// The submitter was not right, for whatever reason.
    Refused(Verdict),
    /// Nobody knows.
    Unknown,
}

impl Outcome {
    /// Whether an opening says the same.
    fn is(self, opening: &Opening) -> bool {
        match self {
            Self::Found(found) => found == *opening,
            Self::Refused(verdict) => verdict == opening.verdict,
            Self::Unknown => true,
        }
    }

    const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Found(_) => Some(Verdict::Valid),
            Self::Refused(verdict) => Some(verdict),
            Self::Unknown => None,
        }
    }
}

impl Close<'_, '_> {
    pub(super) fn targets(&self) -> Result<Targets, CloseError> {
        match self.draft(Targets::ID)?.content {
            Content::Targets(targets) => Ok(targets),
            _ => Err(CloseError::Missing(Targets::ID)),
        }
    }

    fn target(&self, id: ObjectId) -> Result<Box<Target>, CloseError> {
        match self.draft(id)?.content {
            Content::Target(target) => Ok(target),
            _ => Err(CloseError::Missing(id)),
        }
    }

    /// Takes back the rewards of targets that nobody has filled, and settles those whose audits are done.
    pub(super) fn judge_targets(
        &mut self,
        ids: &[ObjectId],
        economy: &mut Economy,
    ) -> Result<Audited, CloseError> {
        let mut audited = Audited::default();
        for id in ids {
            let mut target = self.target(*id)?;
            let Some(fill) = target.fill.take() else {
                economy.emission = economy.emission.checked_add(target.reward)?;
                self.overlay.delete(id);
                self.overlay.tell(Event::TargetUnfilled { target: *id });
                continue;
            };
            match &fill.audit {
                Audit::Valid => {}
                Audit::Undrawn => audited.unclear.push(*id),
                Audit::Seats(round) if round.epoch <= self.epoch => match first_outcome(round) {
                    Some(found) => {
                        for (auditor, seat) in &round.seats {
                            audited.note(*auditor, seat.opening == Some(found));
                        }
                        self.settle_target(*id, target, fill, Outcome::Found(found), &mut audited, economy)?;
                    }
                    None => {
                        for (auditor, seat) in &round.seats {
                            audited.note(*auditor, seat.opening.is_some());
                        }
                        audited.unclear.push(*id);
                    }
                },
                Audit::Committee { before, now } if now.epoch <= self.epoch => {
                    let outcome = last_outcome(now);
                    for (auditor, seat) in &now.seats {
                        let has_served = seat.opening.is_some_and(|opening| outcome.is(&opening));
                        audited.note(*auditor, has_served);
                    }
                    let false_ones = false_auditors(&[before, now], outcome);
                    for auditor in false_ones {
                        self.punish_auditor(*id, auditor, economy)?;
                    }
                    self.settle_target(*id, target, fill, outcome, &mut audited, economy)?;
                }
                Audit::Seats(_) | Audit::Committee { .. } => {}
            }
        }
        Ok(audited)
    }

    fn settle_target(
        &mut self,
        id: ObjectId,
        mut target: Box<Target>,
        mut fill: Box<Fill>,
        outcome: Outcome,
        audited: &mut Audited,
        economy: &mut Economy,
    ) -> Result<(), CloseError> {
        self.overlay.tell(Event::Settled {
            target: id,
            outcome: outcome.verdict(),
        });
        if let Outcome::Found(_) = outcome {
            let bps = self.params.submitter_reward_bps.into();
            let submitters = target.reward.mul_div(bps, 10_000, Rounding::Down)?;
            let models = target.reward.checked_sub(submitters)?;
            let earned = audited.models.entry(fill.score.winner).or_default();
            *earned = earned.checked_add(models)?;
            target.reward = submitters;
            fill.audit = Audit::Valid;
            target.fill = Some(fill);
            return self.put(id, Content::Target(target));
        }
        let mut back = target.reward;
        match outcome {
            Outcome::Unknown => {
                let owner = Owner::Address(fill.submitter);
                self.overlay.create(owner, Content::Coin(fill.bond));
            }
            Outcome::Found(_) | Outcome::Refused(_) => back = back.checked_add(fill.bond)?,
        }
        economy.emission = economy.emission.checked_add(back)?;
        self.overlay.delete(&receipt_id(fill.data.checksum));
        self.overlay.delete(&id);
        Ok(())
    }

    /// A validator that has gone meanwhile, and owes nobody anything, has nothing to lose.
    fn punish_auditor(
        &mut self,
        target: ObjectId,
        by: ObjectId,
        economy: &mut Economy,
    ) -> Result<(), CloseError> {
        let Ok(mut validator) = self.validator(by) else {
            return Ok(());
        };
        let bps = self.params.false_verdict_slash_bps;
        let amount = pool::slash(&mut validator.pool, bps, self.epoch);
        self.put(by, Content::Validator(validator))?;
        economy.emission = economy.emission.checked_add(amount)?;
        self.overlay.tell(Event::FalseVerdict { target, by, amount });
        Ok(())
    }

    /// Has the whole next committee audit what is not settled.
    pub(super) fn audit_again(&mut self, set: &Validators, unclear: &[ObjectId]) -> Result<(), CloseError> {
        for id in unclear {
            let mut target = self.target(*id)?;
            let Some(fill) = &mut target.fill else { continue };
            let seats = set
                .members
                .iter()
                .map(|(member, power)| (*member, Seat::new(*power)));
            let now = AuditRound {
                epoch: self.next,
                seats: seats.collect(),
            };
            fill.audit = match std::mem::replace(&mut fill.audit, Audit::Undrawn) {
                Audit::Seats(before) => Audit::Committee { before, now },
                Audit::Undrawn | Audit::Committee { .. } | Audit::Valid => Audit::Seats(now),
            };
            self.put(*id, Content::Target(target))?;
            self.overlay.tell(Event::SeatsDrawn {
                target: *id,
                seats: set.members.keys().copied().collect(),
            });
        }
        Ok(())
    }

    /// What the next epoch has for targets, and how near they want data to be.
    pub(super) fn budget(&mut self, economy: &mut Economy, emission: Emission) -> Result<(), CloseError> {
        let targets = self.targets()?;
        let (count, rest) = emission.affords(target_reward(self.params));
        let unspent = targets.budget.checked_add(rest)?;
        economy.emission = economy.emission.checked_add(unspent)?;
        let difficulty = difficulty::after(
            &targets.difficulty,
            self.params,
            targets.hits,
            targets.pace.open_ms,
        );
        let next = Targets {
            budget: emission.targets.checked_sub(rest)?,
            pace: pacing::begin(self.params, count),
            difficulty,
            hits: 0,
            undrawn: BTreeSet::new(),
        };
        self.put(Targets::ID, Content::Targets(next))
    }
}

/// What two thirds of the seats have found, if nobody has found the submitter wrong.
fn first_outcome(round: &AuditRound) -> Option<Opening> {
    let all: u32 = round.seats.values().map(|seat| u32::from(seat.power.get())).sum();
    let openings = || round.seats.values().filter_map(|seat| seat.opening);
    if openings().any(|opening| opening.verdict == Verdict::Invalid) {
        return None;
    }
    let valid = openings().filter(|opening| opening.verdict == Verdict::Valid);
    let candidates: BTreeSet<Opening> = valid.collect();
    let mut candidates = candidates.into_iter();
    candidates.find(|found| {
        let power = power_of(round, |opening| opening == found);
        power * 3 >= all * 2
    })
}

/// What a quorum of the committee has found.
fn last_outcome(round: &AuditRound) -> Outcome {
    let openings = round.seats.values().filter_map(|seat| seat.opening);
    let candidates: BTreeSet<Opening> = openings.collect();
    let is_quorum = |power: u32| power >= u32::from(VotingPower::QUORUM.get());
    for found in candidates {
        let outcome = match found.verdict {
            Verdict::Valid => Outcome::Found(found),
            Verdict::Invalid | Verdict::Unavailable => Outcome::Refused(found.verdict),
        };
        if is_quorum(power_of(round, |opening| outcome.is(opening))) {
            return outcome;
        }
    }
    Outcome::Unknown
}

fn power_of(round: &AuditRound, says: impl Fn(&Opening) -> bool) -> u32 {
    let seats = round.seats.values();
    let saying = seats.filter(|seat| seat.opening.is_some_and(|opening| says(&opening)));
    saying.map(|seat| u32::from(seat.power.get())).sum()
}

/// Those who have opened something else than what came out, each once.
fn false_auditors(rounds: &[&AuditRound], outcome: Outcome) -> BTreeSet<ObjectId> {
    let seats = rounds.iter().flat_map(|round| &round.seats);
    let is_false = |seat: &Seat| seat.opening.is_some_and(|opening| !outcome.is(&opening));
    seats
        .filter(|(_, seat)| is_false(seat))
        .map(|(auditor, _)| *auditor)
        .collect()
}
