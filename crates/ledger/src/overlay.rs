//! What one transaction has changed so far. It is dropped as a whole, or becomes the transaction's writes.

use std::collections::BTreeMap;

use crypto::Address;
use types::{
    Content, Event, Failure, Fee, Object, ObjectId, ObjectRef, Owner, Shannons, TransactionDigest, Version,
};

use crate::execute::Accrual;
use crate::money::money;
use crate::state::Live;

/// An object without its version, which it has when the transaction is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Who may use it.
    pub owner: Owner,
    /// What is paid back when it is deleted.
    pub deposit: Shannons,
    /// What it is.
    pub content: Content,
}

/// The changes of one transaction over what it may read.
pub struct Overlay<'a> {
    transaction: TransactionDigest,
    /// The coin that pays, if one does. It is there until it has paid.
    gas: Option<ObjectId>,
    inputs: &'a BTreeMap<ObjectId, Live>,
    /// What is written or, without a draft, deleted. It hides the input: what is deleted is not there any more.
    changes: BTreeMap<ObjectId, Option<Draft>>,
    created: u64,
    events: Vec<Event>,
    /// What is added to what all transactions add to, the fees left out.
    pub accrual: Accrual,
}

impl<'a> Overlay<'a> {
    /// No changes.
    pub fn new(
        transaction: TransactionDigest,
        gas: Option<ObjectId>,
        inputs: &'a BTreeMap<ObjectId, Live>,
    ) -> Self {
        Self {
            transaction,
            gas,
            inputs,
            changes: BTreeMap::new(),
            created: 0,
            events: Vec::new(),
            accrual: Accrual::default(),
        }
    }

    /// An object as it is now, if the transaction may read it.
    pub fn get(&self, id: &ObjectId) -> Option<Draft> {
        match self.changes.get(id) {
            Some(change) => change.clone(),
            None => self.inputs.get(id).map(|live| {
                let object = live.object();
                Draft {
                    owner: object.owner,
                    deposit: object.deposit,
                    content: object.content.clone(),
                }
            }),
        }
    }

    /// The content of an object as it is now, if the transaction may read it. Nothing is copied.
    fn content(&self, id: &ObjectId) -> Option<&Content> {
        match self.changes.get(id) {
            Some(change) => change.as_ref().map(|draft| &draft.content),
            None => self.inputs.get(id).map(|live| &live.object().content),
        }
    }

    /// The coin that pays.
    pub const fn gas(&self) -> Option<ObjectId> {
        self.gas
    }

    /// Checks that an object is there as it is named, and is this owner's.
    ///
    /// # Errors
    /// [`Failure::NotLive`], [`Failure::NotOwner`].
    pub fn owned(&self, named: &ObjectRef, owner: Address) -> Result<(), Failure> {
        let live = self
            .inputs
            .get(&named.id)
            .filter(|live| live.reference() == *named);
        let live = live.ok_or(Failure::NotLive(*named))?;
        if live.object().owner == Owner::Address(owner) {
            Ok(())
        } else {
            Err(Failure::NotOwner(named.id))
        }
    }

    /// Writes an object that is there.
    pub fn put(&mut self, id: ObjectId, draft: Draft) {
        self.changes.insert(id, Some(draft));
    }

    /// The id of an object that is new, for [`create_at`](Self::create_at).
    pub fn new_id(&mut self) -> ObjectId {
        let id = ObjectId::created(self.transaction, self.created);
        self.created += 1;
        id
    }

    /// Writes a new object, and yields its id.
    pub fn create(&mut self, owner: Owner, content: Content) -> ObjectId {
        let id = self.new_id();
        self.create_at(id, owner, content);
        id
    }

    /// Writes a new object where none is.
    pub fn create_at(&mut self, id: ObjectId, owner: Owner, content: Content) {
        let draft = Draft {
            owner,
            deposit: Shannons::ZERO,
            content,
        };
        self.changes.insert(id, Some(draft));
    }

    /// Takes an object away, and yields what it was.
    pub fn delete(&mut self, id: &ObjectId) -> Option<Draft> {
        let draft = self.get(id)?;
        self.changes.insert(*id, None);
        Some(draft)
    }

    /// Says that something happened.
    pub fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The balance of a coin.
    ///
    /// # Errors
    /// [`Failure::NotACoin`].
    pub fn balance(&self, id: &ObjectId) -> Result<Shannons, Failure> {
        match self.content(id) {
            Some(Content::Coin(balance)) => Ok(*balance),
            _ => Err(Failure::NotACoin(*id)),
        }
    }

    /// Sets the balance of a coin, whoever has it. Without one it is deleted, unless it is the one that pays.
    ///
    /// # Errors
    /// [`Failure::NotACoin`].
    pub fn set_balance(&mut self, id: ObjectId, balance: Shannons) -> Result<(), Failure> {
        self.balance(&id)?;
        if balance == Shannons::ZERO && Some(id) != self.gas {
            self.delete(&id);
        } else if let Some(mut draft) = self.get(&id) {
            draft.content = Content::Coin(balance);
            self.put(id, draft);
        }
        Ok(())
    }

    /// Gives an object to somebody.
    ///
    /// # Errors
    /// [`Failure::NotOwner`] for a shared one.
    pub fn give(&mut self, id: ObjectId, to: Address) -> Result<(), Failure> {
        match self.get(&id) {
            Some(draft) if draft.owner != Owner::Shared => {
                let owner = Owner::Address(to);
                self.put(id, Draft { owner, ..draft });
                Ok(())
            }
            _ => Err(Failure::NotOwner(id)),
        }
    }

    /// Deletes the coin that has paid, if nothing is left of it.
    pub fn close_gas(&mut self) {
        if let Some(gas) = self.gas.filter(|gas| self.balance(gas) == Ok(Shannons::ZERO)) {
            self.delete(&gas);
        }
    }

    /// Checks that the changes, the fee and what is slashed leave the supply as it was.
    ///
    /// # Errors
    /// [`Failure::InvariantViolated`].
    pub fn check_supply(&self, fee: &Fee) -> Result<(), Failure> {
        let (before, after) = self.held()?;
        let elsewhere = u128::from(fee.total().get()) + u128::from(self.accrual.slashed.get());
        let is_kept = before == after + elsewhere;
        is_kept.then_some(()).ok_or(Failure::InvariantViolated)
    }

    /// Checks that the changes hold exactly so much more as transactions have left for it.
    ///
    /// # Errors
    /// [`Failure::InvariantViolated`].
    pub fn check_gain(&self, accrual: &Accrual) -> Result<(), Failure> {
        let (before, after) = self.held()?;
        let gained = u128::from(accrual.fees.get()) + u128::from(accrual.slashed.get());
        let is_kept = before + gained == after;
        is_kept.then_some(()).ok_or(Failure::InvariantViolated)
    }

    /// The money in what is changed, before and after.
    fn held(&self) -> Result<(u128, u128), Failure> {
        let (mut before, mut after) = (0, 0);
        let held = |content, deposit: Shannons| {
            let money = money(content).map_err(|_| Failure::InvariantViolated)?;
            Ok(u128::from(money.get()) + u128::from(deposit.get()))
        };
        for (id, draft) in &self.changes {
            if let Some(live) = self.inputs.get(id) {
                let object = live.object();
                before += held(&object.content, object.deposit)?;
            }
            if let Some(draft) = draft {
                after += held(&draft.content, draft.deposit)?;
            }
        }
        Ok((before, after))
    }

    /// Bytes of an object with this draft.
    pub fn encoded_bytes(&self, id: ObjectId, draft: &Draft) -> u64 {
        // As an object is encoded: its fields in order.
        let fields = (
            id,
            Version::ZERO,
            draft.owner,
            draft.deposit,
            self.transaction,
            &draft.content,
        );
        types::encoded_bytes(&fields)
    }

    /// The changes so far.
    pub const fn changes(&self) -> &BTreeMap<ObjectId, Option<Draft>> {
        &self.changes
    }

    /// The object that a draft becomes.
    pub fn seal(&self, id: ObjectId, draft: Draft, version: Version) -> Object {
        Object {
            id,
            version,
            owner: draft.owner,
            deposit: draft.deposit,
            previous: self.transaction,
            content: draft.content,
        }
    }

    /// What is there of an object before the transaction.
    pub fn before(&self, id: &ObjectId) -> Option<&'a Live> {
        self.inputs.get(id)
    }

    /// What happened.
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }
}

#[cfg(test)]
mod tests {
    use crypto::Digest;

    use super::*;

    #[test]
    fn changes_that_make_or_lose_money_are_found() {
        let transaction = TransactionDigest::new(Digest::of(b"transaction"));
        let coin = Object {
            id: ObjectId::from_low(9),
            version: Version::new(1),
            owner: Owner::Shared,
            deposit: Shannons::new(2),
            previous: transaction,
            content: Content::Coin(Shannons::new(10)),
        };
        let id = coin.id;
        let inputs = BTreeMap::from([(id, Live::new(coin))]);
        let fee = |base| Fee {
            base: Shannons::new(base),
            ..Fee::default()
        };
        let mut overlay = Overlay::new(transaction, None, &inputs);
        assert_eq!(overlay.check_supply(&fee(0)), Ok(()));
        assert_eq!(overlay.check_supply(&fee(1)), Err(Failure::InvariantViolated));
        assert_eq!(overlay.set_balance(id, Shannons::new(9)), Ok(()));
        assert_eq!(overlay.check_supply(&fee(1)), Ok(()));
        assert_eq!(overlay.check_supply(&fee(0)), Err(Failure::InvariantViolated));
        let draft = overlay.get(&id).unwrap();
        let object = overlay.seal(id, draft.clone(), Version::MAX);
        assert_eq!(
            overlay.encoded_bytes(id, &draft),
            types::encode(&object).len() as u64
        );
        // The same, by what a commit adds up.
        let gain = |fees, slashed| Accrual {
            fees: Shannons::new(fees),
            slashed: Shannons::new(slashed),
            ..Accrual::default()
        };
        assert_eq!(overlay.set_balance(id, Shannons::new(15)), Ok(()));
        assert_eq!(overlay.check_gain(&gain(2, 3)), Ok(()));
        for (fees, slashed) in [(2, 2), (3, 3), (0, 0)] {
            let gained = overlay.check_gain(&gain(fees, slashed));
            assert_eq!(gained, Err(Failure::InvariantViolated));
        }
        overlay.delete(&id);
        assert_eq!(overlay.check_supply(&fee(10)), Err(Failure::InvariantViolated));
        assert_eq!(
            overlay.check_supply(&fee(12)),
            Ok(()),
            "the deposit is money as well"
        );
    }
}
