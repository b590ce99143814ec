//! What auditors and custodians have come to, counted by hand.

use types::{Attestation, AuditRound, Custody, ObjectId, Opening, Stage, Verdict};

pub const QUORUM: u64 = 6_667;

/// What an audit comes to.
#[derive(Clone, Copy, PartialEq)]
pub enum Outcome {
    Found(Opening),
    Refused(Verdict),
    Unknown,
}

impl Outcome {
    pub fn is(self, said: Opening) -> bool {
        match self {
            Self::Found(found) => found == said,
            Self::Refused(verdict) => verdict == said.verdict,
            Self::Unknown => true,
        }
    }
}

pub fn said(round: &AuditRound) -> Vec<(ObjectId, u64, Opening)> {
    let seats = round.seats.iter();
    let said = seats.filter_map(|(by, seat)| Some((*by, seat.power.get().into(), seat.opening?)));
    said.collect()
}

/// With all the seats: what two thirds have found if nobody objects.
pub fn first(round: &AuditRound) -> Option<Opening> {
    let all: u64 = round.seats.values().map(|seat| u64::from(seat.power.get())).sum();
    let said = said(round);
    if said
        .iter()
        .any(|(.., opening)| opening.verdict == Verdict::Invalid)
    {
        return None;
    }
    let valid = said
        .iter()
        .filter(|(.., opening)| opening.verdict == Verdict::Valid);
    let mut valid = valid.map(|(.., opening)| *opening);
    valid.find(|found| 3 * power(&said, Outcome::Found(*found)) >= 2 * all)
}

fn power(said: &[(ObjectId, u64, Opening)], outcome: Outcome) -> u64 {
    let same = said.iter().filter(|(.., opening)| outcome.is(*opening));
    same.map(|(_, power, _)| power).sum()
}

pub fn last(round: &AuditRound) -> Outcome {
    let said = said(round);
    let outcomes = said.iter().map(|(.., opening)| match opening.verdict {
        Verdict::Valid => Outcome::Found(*opening),
        refused => Outcome::Refused(refused),
    });
    let mut outcomes: Vec<Outcome> = outcomes.collect();
    outcomes.retain(|outcome| power(&said, *outcome) >= QUORUM);
    outcomes.first().copied().unwrap_or(Outcome::Unknown)
}

#[derive(Clone, Copy, PartialEq)]
pub enum Verdicts {
    Waits,
    Holds,
    Fails,
    Drops,
}

pub fn judge(stage: &Stage, epoch: u64) -> Verdicts {
    let offer = match stage {
        Stage::Created(at) if at.get() < epoch => return Verdicts::Fails,
        Stage::Created(_) | Stage::Inactive => return Verdicts::Waits,
        Stage::Offered(offer) => offer,
        Stage::Active {
            update: Some(offer), ..
        } => offer,
        Stage::Active { update: None, .. } => return Verdicts::Waits,
    };
    if offer.reveal.is_none() {
        return if offer.epoch.get() < epoch {
            Verdicts::Fails
        } else {
            Verdicts::Waits
        };
    }
    let (custodians, is_last) = match &offer.custody {
        Custody::Undrawn => return Verdicts::Waits,
        Custody::Drawn(custodians) => (custodians, false),
        Custody::Committee(custodians) => (custodians, true),
    };
    let (mut held, mut rejected, mut all) = (0, 0, 0);
    for custodian in custodians.values() {
        let power = u64::from(custodian.power.get());
        all += power;
        match custodian.attestation {
            Some(Attestation::Held) => held += power,
            Some(Attestation::Rejected(_)) => rejected += power,
            None => {}
        }
    }
    match (3 * held >= 2 * all && all > 0, rejected >= QUORUM) {
        (true, _) => Verdicts::Holds,
        (false, _) if !is_last => Verdicts::Waits,
        (false, true) => Verdicts::Fails,
        (false, false) => Verdicts::Drops,
    }
}
