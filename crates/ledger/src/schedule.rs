//! Which transactions of a commit may be executed at the same time.

use std::collections::BTreeMap;

use types::{ObjectId, Transaction, TransactionDigest};

/// The transactions of a commit in *waves*, as positions in it, ascending: no two of a wave touch the same object, and whatever
/// touches an object comes in a later wave than all before it that do. To execute one wave after the other, each on what the
/// waves before have written, is to execute one transaction after the other.
///
/// A transaction touches what it names, what must not be there, and the ids of all that it may create: a later one can name them.
pub fn waves<'a>(
    transactions: impl IntoIterator<Item = (&'a Transaction, TransactionDigest)>,
) -> Vec<Vec<usize>> {
    let mut waves: Vec<Vec<usize>> = Vec::new();
    // By object: the first wave that comes after all that touch it.
    let mut free = BTreeMap::<ObjectId, usize>::new();
    for (position, (transaction, digest)) in transactions.into_iter().enumerate() {
        let named = transaction.gas.iter().chain(transaction.kind.owned());
        let created = (0u64..).take(transaction.kind.creates());
        let created = created.map(|number| ObjectId::created(digest, number));
        let shared = transaction.kind.shared(transaction.sender);
        let named = named.map(|named| named.id).chain(shared);
        let touched: Vec<ObjectId> = named.chain(created).collect();
        let wave = touched
            .iter()
            .filter_map(|id| free.get(id))
            .max()
            .copied()
            .unwrap_or(0);
        free.extend(touched.into_iter().map(|id| (id, wave + 1)));
        if wave == waves.len() {
            waves.push(Vec::new());
        }
        waves[wave].push(position);
    }
    waves
}
