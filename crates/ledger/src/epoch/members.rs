//! Who is in the next committee, and who is not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crypto::Bitmap;
use types::{
    Address, Content, Epoch, Event, ObjectId, Shannons, Standing, Validator, ValidatorKeys, Validators,
    VotingPower, voting_power,
};

use super::{Close, CloseError};
use crate::pool;

/// What becomes of a validator, by its stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is a member, and at no risk.
    Safe,
    /// It has too little stake, but stays what it is for now.
    Short,
    /// It goes.
    Gone,
}

impl Close<'_, '_> {
    /// The members that others with a quorum of power have reported.
    pub(super) fn reported(&self, set: &Validators) -> Result<BTreeSet<ObjectId>, CloseError> {
        let mut against = BTreeMap::<ObjectId, VotingPower>::new();
        for (id, power) in &set.members {
            for reported in self.validator(*id)?.reports {
                let sum = against.entry(reported).or_default();
                *sum = sum.saturating_add(*power);
            }
        }
        against.retain(|_, power| *power >= VotingPower::QUORUM);
        Ok(against.into_keys().collect())
    }

    /// Lets a validator go. Its account and its keys are free again, and its stakers can leave for ever.
    pub(super) fn retire(&mut self, set: &mut Validators, id: ObjectId, validator: &mut Validator) {
        set.members.remove(&id);
        set.pending.remove(&id);
        set.retired.insert(id);
        pool::close(&mut validator.pool);
        validator.standing = Standing::Retired;
        validator.reports.clear();
        validator.vote = None;
        let claims: Vec<ObjectId> = validator.claims().collect();
        for claim in claims {
            self.overlay.delete(&claim);
        }
        if !validator.signed_with.is_empty() {
            validator.signed_with.insert(self.next, None);
        }
        let power = VotingPower::ZERO;
        self.overlay.tell(Event::Member { validator: id, power });
    }

    /// Takes in whoever has the stake for it, lets those go who have had too little for too long, and gives everybody its power.
    /// Where more come than a committee has room for, those with the most stake do, ties to the lower address.
    pub(super) fn elect(&mut self, set: &mut Validators) -> Result<(), CloseError> {
        let known: Vec<ObjectId> = set.members.keys().chain(&set.pending).copied().collect();
        let mut stakes = BTreeMap::<ObjectId, (Address, Shannons)>::new();
        for id in &known {
            let validator = self.validator(*id)?;
            stakes.insert(*id, (validator.address, validator.pool.balance));
        }
        let total: u128 = stakes.values().map(|(_, stake)| u128::from(stake.get())).sum();
        let power = |id: &ObjectId| (u128::from(stakes[id].1.get()) * 10_000).checked_div(total);
        let suffices = |id: &ObjectId| power(id) >= Some(self.params.join_power.get().into());

        let mut coming: Vec<ObjectId> = set.pending.iter().copied().filter(suffices).collect();
        coming.sort_by_key(|id| (Reverse(stakes[id].1), stakes[id].0));
        coming.truncate(usize::from(Bitmap::CAPACITY).saturating_sub(set.members.len()));
        let coming: BTreeSet<ObjectId> = coming.into_iter().collect();
        for id in known {
            let mut validator = self.validator(id)?;
            let is_member = set.members.contains_key(&id);
            let verdict = match power(&id).unwrap_or(0) {
                _ if coming.contains(&id) => Verdict::Safe,
                power if is_member && power >= self.params.low_power.get().into() => Verdict::Safe,
                power if is_member && power < self.params.very_low_power.get().into() => Verdict::Gone,
                _ if validator.short_epochs < self.params.low_power_epochs => Verdict::Short,
                _ => Verdict::Gone,
            };
            match verdict {
                Verdict::Safe => validator.short_epochs = 0,
                Verdict::Short => validator.short_epochs += 1,
                Verdict::Gone => self.retire(set, id, &mut validator),
            }
            self.put(id, Content::Validator(validator))?;
        }

        let ids = set.members.keys().chain(&coming).copied();
        let members: BTreeMap<_, _> = ids.map(|id| (id, stakes[&id])).collect();
        if members.is_empty() {
            return Err(CloseError::NobodyLeft);
        }
        let list: Vec<_> = members.values().copied().collect();
        set.members = members.into_keys().zip(voting_power(&list)).collect();
        for validator in coming {
            set.pending.remove(&validator);
            let power = set.members[&validator];
            self.overlay.tell(Event::Member { validator, power });
        }
        Ok(())
    }

    /// Puts into force what validators have staged for the next epoch, and forgets what is too long ago.
    pub(super) fn turn(&mut self, set: &Validators) -> Result<(), CloseError> {
        let oldest = Epoch::new(self.next.get().saturating_sub(self.params.evidence_epochs));
        for id in set.members.keys().chain(&set.pending).copied() {
            let mut validator = self.validator(id)?;
            let staged = std::mem::take(&mut validator.staged);
            if let Some(keys) = staged.keys {
                let kept = keys.claims();
                let old = std::mem::replace(&mut validator.keys, keys);
                for claim in ValidatorKeys::claims(&old) {
                    if !kept.contains(&claim) {
                        self.overlay.delete(&claim);
                    }
                }
            }
            if let Some(address) = staged.network_address {
                validator.metadata.network_address = address;
            }
            if let Some(commission_bps) = staged.commission_bps {
                validator.commission_bps = commission_bps;
            }
            if set.members.contains_key(&id) {
                validator.standing = Standing::Member;
                let key = validator.keys.consensus.clone();
                if validator.signs_with(self.next) != Some(&key) {
                    validator.signed_with.insert(self.next, Some(key));
                }
            }
            // The key that was in force then is needed as well.
            let first = validator.signed_with.range(..=oldest).next_back();
            if let Some(first) = first.map(|(first, _)| *first) {
                validator.signed_with = validator.signed_with.split_off(&first);
            }
            validator.reports.retain(|id| set.members.contains_key(id));
            self.put(id, Content::Validator(validator))?;
        }
        Ok(())
    }
}
