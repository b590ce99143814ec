//! What makes no sense, or comes at the wrong time.

use crypto::{Digest, Verified};
use ledger::Live;
use ledger::genesis::UNNAMED;
use types::{
    Attestation, Bounded, Direction, ObjectId, ObjectRef, Opening, ProtocolVersion, Rules, Shannons,
    Transaction, TransactionKind, Verdict,
};

use crate::drive::Driver;
use crate::kit::{account, keys};
use crate::made::{everybody, evidence, number, shown};

/// Makes one thing of it wrong, or leaves it as it is.
pub fn spoil(driver: &mut Driver, kind: &mut TransactionKind) {
    let all: Vec<ObjectId> = driver.everything().iter().map(|named| named.id).collect();
    let any = driver.draw.pick(&all).unwrap();
    match kind {
        TransactionKind::PayCoins {
            amounts: Some(amounts),
            recipients,
            ..
        } => {
            let most = vec![Shannons::new(u64::MAX); recipients.len()];
            *amounts = Bounded::new(most).unwrap();
        }
        TransactionKind::AddStake { validator, .. }
        | TransactionKind::WithdrawStake { validator, .. }
        | TransactionKind::RemoveValidator { validator }
        | TransactionKind::SetCommissionRate { validator, .. } => *validator = any,
        TransactionKind::AddStakeToModel { model, .. }
        | TransactionKind::CommitModel { model, .. }
        | TransactionKind::SetModelCommissionRate { model, .. } => *model = any,
        TransactionKind::RevealModel { reveal, .. } if driver.draw.one_in(2) => {
            reveal.embedding = Direction::new(vec![1]).unwrap();
        }
        TransactionKind::RevealModel { reveal, .. } => reveal.weights = Digest::of(b"others"),
        TransactionKind::SubmitData { salt, .. } => *salt = [8; 32],
        TransactionKind::AddValidator { keys: proved, .. } => **proved = keys(UNNAMED, 20, 90),
        TransactionKind::ClaimRewards { target } => *target = any,
        _ => {}
    }
}

impl Driver {
    /// A duty that nobody owes, most likely.
    pub fn stray_duty(&mut self) -> Option<Verified<Transaction>> {
        let (validators, models, targets) = (self.validators(), self.models(), self.targets());
        let (validator, found) = self.draw.pick(&validators)?;
        let by = number(&everybody(), found.address)?;
        let kind = match self.draw.below(4) {
            0 => TransactionKind::AttestCustody {
                validator,
                model: self.draw.pick(&models)?.0,
                attestation: Attestation::Held,
            },
            1 => TransactionKind::SealVerdict {
                validator,
                target: self.draw.pick(&targets)?.0,
                seal: Digest::ZERO,
            },
            // Now and then a vote for rules that are in force already; and at times the second of an epoch.
            2 => TransactionKind::VoteUpgrade {
                validator,
                rules: Some(Rules {
                    version: ProtocolVersion::new(self.draw.below(4) + 1),
                    params: Digest::ZERO,
                }),
            },
            _ => TransactionKind::OpenVerdict {
                validator,
                target: self.draw.pick(&targets)?.0,
                opening: Opening {
                    verdict: Verdict::Invalid,
                    trace: Digest::ZERO,
                },
                salt: [9; 32],
            },
        };
        self.transaction(vec![], by, kind)
    }

    /// An owner shows what it has committed to, mostly too early.
    pub fn stray_reveal(&mut self) -> Option<Verified<Transaction>> {
        let mut models = self.models();
        models.retain(|(_, model)| model.offer().is_some_and(|offer| offer.reveal.is_none()));
        let (model, found) = self.draw.pick(&models)?;
        let by = number(&everybody(), found.owner)?;
        let kind = TransactionKind::RevealModel {
            model,
            reveal: Box::new(shown(model, found.offer()?.epoch.get())),
        };
        let gas = self.richest(by)?;
        self.transaction(vec![gas], by, kind)
    }

    /// A founder stages keys twice within an epoch.
    pub fn keys_twice(&mut self) {
        for keyed in [60, 61] {
            let (system, validators) = (self.chain.system(), self.validators());
            let own = validators
                .iter()
                .find(|(_, validator)| validator.address == account(23));
            let kind = TransactionKind::UpdateValidatorMetadata {
                validator: own.unwrap().0,
                name: None,
                network_address: None,
                proxy_address: None,
                keys: Some(Box::new(keys(system.chain, 23, keyed))),
            };
            let gas = self.richest(23).unwrap();
            let asked = self.transaction(vec![gas], 23, kind).unwrap();
            self.chain.commit(&[asked], None);
        }
    }

    /// A founder is shown to have signed two blocks, and shown once more.
    pub fn evidence_twice(&mut self) {
        for _ in 0..2 {
            let (system, validators) = (self.chain.system(), self.validators());
            let accused = validators
                .iter()
                .find(|(_, validator)| validator.address == account(20));
            let kind = TransactionKind::ReportEquivocation {
                validator: accused.unwrap().0,
                evidence: evidence(system.chain, 20, system.epoch.get()),
            };
            let gas = self.richest(0).unwrap();
            let asked = self.transaction(vec![gas], 0, kind).unwrap();
            self.chain.commit(&[asked], None);
        }
    }

    /// References of everything there is.
    pub fn everything(&self) -> Vec<ObjectRef> {
        self.chain.live(|_| true).iter().map(Live::reference).collect()
    }
}
