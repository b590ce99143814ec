//! What those do who mean it: owners show their weights, submitters open their tickets, validators attest and audit.

use std::collections::BTreeSet;

use crypto::{Digest, Verified};
use types::{
    Attestation, Content, Custody, Direction, ObjectId, Opening, Rejection, Stage, Transaction,
    TransactionKind, Verdict,
};

use crate::drive::Driver;
use crate::kit::USERS;
use crate::made::{byte, everybody, number, shown};

/// What an auditor says of a target. Of most it is the same for all.
fn opening(target: ObjectId, by: ObjectId, epoch: u64) -> Option<Opening> {
    let (kind, own) = (
        byte(target, 4) % 8,
        byte(by, 5).wrapping_add(u8::try_from(epoch % 251).unwrap()),
    );
    let said = |verdict, trace| {
        Some(Opening {
            verdict,
            trace: Digest::of(&[trace]),
        })
    };
    match kind {
        0 | 1 => said(Verdict::Valid, 1),
        2 => said(
            if own % 3 == 0 {
                Verdict::Invalid
            } else {
                Verdict::Valid
            },
            1,
        ),
        3 if own % 4 == 0 => said(Verdict::Valid, own),
        3 => said(Verdict::Invalid, own),
        4 if own.is_multiple_of(8) => said(Verdict::Invalid, 1),
        4 => said(Verdict::Unavailable, own),
        5 if own % 2 == 0 => None,
        6 => said(Verdict::Valid, own % 3),
        _ if own % 5 == 0 => None,
        _ => said(Verdict::Valid, 2),
    }
}

/// Commits of an epoch.
pub const TURNS: u64 = 8;

impl Driver {
    /// What owners of models, submitters and validators do who mean it.
    pub fn routine(&mut self, turn: u64) -> Vec<Verified<Transaction>> {
        let mut all = Vec::new();
        let (models, targets, epoch) = (self.models(), self.targets(), self.chain.system().epoch.get());
        let mut paying = BTreeSet::new();
        for (id, model) in &models {
            let Some(by) = number(&everybody(), model.owner) else {
                continue;
            };
            let Some(gas) = self.richest(by).filter(|_| !self.draw.one_in(4)) else {
                continue;
            };
            let is_updated =
                matches!(&model.stage, Stage::Active { update: None, .. }) && byte(*id, 6).is_multiple_of(4);
            let kind = match (&model.stage, model.offer()) {
                (Stage::Created(_), _) if turn == 0 => self.offer(*id, by, gas),
                _ if is_updated && turn == 0 => self.offer(*id, by, gas),
                (_, Some(offer)) if offer.epoch.get() + 1 == epoch && offer.reveal.is_none() && turn == 1 => {
                    let mut reveal = Box::new(shown(*id, epoch - 1));
                    match byte(*id, 13).wrapping_add(u8::try_from(epoch % 251).unwrap()) % 8 {
                        0 => reveal.weights = Digest::of(b"others"),
                        1 => reveal.embedding = Direction::new(vec![1]).unwrap(),
                        _ => {}
                    }
                    TransactionKind::RevealModel { model: *id, reveal }
                }
                _ => continue,
            };
            if paying.insert(by) {
                all.extend(self.transaction(vec![gas], by, kind));
            }
        }
        for (id, target) in &targets {
            let by = USERS[usize::from(byte(*id, 7)) % 4];
            if target.fill.is_none() && turn % 2 == 1 && paying.insert(by) {
                let Some(gas) = self.richest(by) else { continue };
                let kind = self.purchase(by, *id, target, gas);
                all.extend(self.transaction(vec![gas], by, kind));
            }
        }
        for by in USERS.into_iter().filter(|_| turn.is_multiple_of(2)) {
            for ticket in self.owned(by, |content| matches!(content, Content::Ticket(_))) {
                let Some(gas) = self.richest(by) else { continue };
                if let Some(kind) = self.open(ticket, &targets, false).filter(|_| paying.insert(by)) {
                    all.extend(self.transaction(vec![gas], by, kind));
                }
            }
        }
        for (id, target) in targets
            .iter()
            .filter(|(id, _)| turn == 6 && byte(*id, 12).is_multiple_of(2))
        {
            let filled = target.fill.as_ref().map(|fill| fill.submitter);
            let Some(by) = filled.and_then(|by| number(&everybody(), by)) else {
                continue;
            };
            let Some(gas) = self.richest(by).filter(|_| paying.insert(by)) else {
                continue;
            };
            all.extend(self.transaction(vec![gas], by, TransactionKind::ClaimRewards { target: *id }));
        }
        let validators = self.validators();
        for (id, validator) in validators.iter().filter(|_| turn == 7 && epoch % 4 == 1) {
            let Some(by) = number(&everybody(), validator.address) else {
                continue;
            };
            let Some(gas) = self.richest(by).filter(|_| paying.insert(by)) else {
                continue;
            };
            let (validator, reported) = (*id, validators[0].0);
            let kind = TransactionKind::ReportValidator { validator, reported };
            all.extend(self.transaction(vec![gas], by, kind));
        }
        self.duties(turn, &mut all);
        let stray = self.stray_duty();
        all.extend(stray);
        if self.draw.one_in(4) {
            all.extend(self.stray_reveal());
        }
        all
    }

    fn duties(&mut self, turn: u64, all: &mut Vec<Verified<Transaction>>) {
        let epoch = self.chain.system().epoch.get();
        let accounts = everybody();
        for (by, validator) in self.validators() {
            let Some(who) = number(&accounts, validator.address) else {
                continue;
            };
            for (id, model) in self.models().into_iter().filter(|_| turn == 3) {
                let asked = model
                    .offer()
                    .filter(|offer| offer.reveal.is_some())
                    .is_some_and(|offer| {
                        let (Custody::Drawn(asked) | Custody::Committee(asked)) = &offer.custody else {
                            return false;
                        };
                        asked.contains_key(&by)
                    });
                let attestation = match byte(id, 8) % 6 {
                    0 => Attestation::Rejected(Rejection::Key),
                    1 if byte(by, 9).is_multiple_of(2) => Attestation::Rejected(Rejection::Tensors),
                    _ => Attestation::Held,
                };
                let kind = TransactionKind::AttestCustody {
                    validator: by,
                    model: id,
                    attestation,
                };
                if asked && !self.draw.one_in(6) {
                    all.extend(self.transaction(vec![], who, kind));
                }
            }
            for (target, found) in self.targets() {
                let round = found.fill.as_ref().and_then(|fill| fill.audit.round());
                let is_asked =
                    round.is_some_and(|round| round.epoch.get() == epoch && round.seats.contains_key(&by));
                let Some(opening) = opening(target, by, epoch).filter(|_| is_asked) else {
                    continue;
                };
                let salt = [who; 32];
                let kind = match turn {
                    2 => TransactionKind::SealVerdict {
                        validator: by,
                        target,
                        seal: opening.seal(by, target, salt),
                    },
                    5 => TransactionKind::OpenVerdict {
                        validator: by,
                        target,
                        opening,
                        salt,
                    },
                    _ => continue,
                };
                all.extend(self.transaction(vec![], who, kind));
            }
        }
    }

    /// An epoch of eight commits, in the first four of which verdicts are sealed.
    pub fn epoch(&mut self) {
        for turn in 0..TURNS {
            let (asked, beacon) = self.turn(turn);
            self.chain.commit(&asked, beacon);
        }
        self.chain.close();
    }

    /// What the next commit of an epoch has.
    pub fn turn(&mut self, turn: u64) -> (Vec<Verified<Transaction>>, Option<Digest>) {
        self.chain.elapsed_ms = turn * (self.chain.params.epoch_duration_ms / TURNS);
        if turn == 2 && self.draw.one_in(4) {
            // Tickets of the commit before are too young.
            self.chain.elapsed_ms = self.chain.params.epoch_duration_ms / TURNS + 1;
        }
        let mut asked = self.routine(turn);
        asked.extend(self.wishes());
        let beacon = (turn.is_multiple_of(2)).then(|| Digest::of(&self.draw.next().to_le_bytes()));
        (asked, beacon)
    }
}
