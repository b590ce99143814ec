//! The same histories on a state of which little is in memory and the rest on a disk that can stop at any batch.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Digest, MultisetHash, Verified};
use ledger::checkpoint::{Builder, Cutting, Executed};
use ledger::proof::{EffectsProof, ExecutedProof};
use ledger::snapshot::{CHUNKS, Snapshot, chunk_of, chunk_root, lowest_of};
use ledger::storage::{
    self, CheckpointKey, CommitKey, Family, Head, Key, LAYOUT, Place, Pruning, Record, State, Write,
};
use ledger::{Application, Context, EpochChange, Live, Memory, Objects, Writes, close, root};
use types::checkpoint::{Contents, Entry, Summary};
use types::{
    CheckpointSequence, CommitIndex, Epoch, ObjectId, ObjectRef, ProtocolParams, System, Transaction,
    UnixMillis, encode,
};

use crate::drive::Driver;
use crate::duties::TURNS;
use crate::kit::{Chain, Draw};

/// A store as its contract has it: ordered maps, changed by whole batches.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Disk(BTreeMap<(Family, Vec<u8>), Vec<u8>>);

impl Disk {
    fn write(&mut self, batch: &[Write]) {
        for write in batch {
            let key = (write.family, write.key.clone());
            match &write.value {
                Some(value) => self.0.insert(key, value.clone()),
                None => self.0.remove(&key),
            };
        }
    }

    fn get<K: Key>(&self, family: Family, key: &K) -> Option<&[u8]> {
        self.0.get(&(family, key.bytes())).map(Vec::as_slice)
    }

    /// At most so many entries from a key up to below another.
    fn scan(&self, family: Family, from: &[u8], below: &[u8], most: usize) -> Vec<(&[u8], &[u8])> {
        let range = self.0.range((family, from.to_vec())..(family, below.to_vec()));
        range
            .map(|((_, key), value)| (&key[..], &value[..]))
            .take(most)
            .collect()
    }

    fn all(&self, family: Family) -> Vec<(&[u8], &[u8])> {
        let all = self.0.iter().filter(|((of, _), _)| *of == family);
        all.map(|((_, key), value)| (&key[..], &value[..])).collect()
    }

    fn value<T: serde::de::DeserializeOwned + serde::Serialize, K: Key>(&self, family: Family, key: &K) -> T {
        storage::value(family, &key.bytes(), self.get(family, key).unwrap()).unwrap()
    }

    /// The objects of a chunk.
    fn chunk(&self, chunk: u16) -> Vec<ObjectRef> {
        let from = lowest_of(chunk).bytes();
        let below = match chunk + 1 {
            CHUNKS => vec![0xff; 33],
            next => lowest_of(next).bytes(),
        };
        let entries = self.scan(Family::Objects, &from, &below, usize::MAX);
        let live = |(key, bytes): (&[u8], &[u8])| {
            let id = ObjectId::read(Family::Objects, key).unwrap();
            Live::new(storage::object(&id, bytes).unwrap()).reference()
        };
        entries.into_iter().map(live).collect()
    }
}

/// What happens to a ledger.
enum Step {
    Commit(Box<Context>, Vec<Verified<Transaction>>),
    Close(UnixMillis),
}

/// A node's ledger: its disk, and what it has of it in memory.
struct Node {
    disk: Disk,
    state: State,
    builder: Builder,
    params: ProtocolParams,
    /// How often something was computed again.
    repeats: usize,
    /// After how many batches the disk stops.
    batches_left: usize,
}

impl Node {
    fn begin(genesis: &Memory, params: ProtocolParams, most_bytes: usize) -> Self {
        let system = genesis.get(&System::ID).unwrap();
        let types::Content::System(system) = &system.object().content else {
            panic!("it is the system")
        };
        let head = Head {
            layout: LAYOUT,
            chain: system.chain,
            epoch: Epoch::ZERO,
            commit: CommitIndex::ZERO,
            root: root::root(genesis.iter()),
            unpruned: Epoch::ZERO,
        };
        let writes: Writes = genesis
            .iter()
            .map(|live| (live.object().id, Some(live.clone())))
            .collect();
        let mut disk = Disk::default();
        disk.write(&storage::batch(&head, &writes, None, &[]));
        let contents = Contents::default();
        let first = Summary {
            epoch: Epoch::ZERO,
            sequence: CheckpointSequence::ZERO,
            previous: None,
            commit: CommitIndex::ZERO,
            timestamp: system.started,
            contents: contents.tree().root(),
            transactions: 0,
            fees: types::Shannons::ZERO,
            state: head.root.digest(),
            snapshot: None,
        };
        disk.write(&storage::checkpoint(&first, &contents));
        Self::open(disk, params, most_bytes)
    }

    /// A node that finds this disk.
    fn open(disk: Disk, params: ProtocolParams, most_bytes: usize) -> Self {
        let system = disk.get(Family::Objects, &System::ID).unwrap();
        let types::Content::System(system) = storage::object(&System::ID, system).unwrap().content else {
            panic!("it is the system")
        };
        let head = Head::read(disk.get(Family::Head, &()).unwrap(), system.chain).unwrap();
        let ids = disk.all(Family::Unsettled).into_iter();
        let ids = ids.map(|(key, _)| ObjectId::read(Family::Unsettled, key).unwrap());
        let unsettled: BTreeSet<ObjectId> = ids.collect();
        let (key, summary) = *disk.all(Family::Checkpoints).last().unwrap();
        let summary: Summary = storage::value(Family::Checkpoints, key, summary).unwrap();
        let epoch = if summary.snapshot.is_some() {
            summary.epoch.next().unwrap()
        } else {
            summary.epoch
        };
        let mut builder = Builder::behind(Cutting::new(&params), epoch, &summary).unwrap();
        // The checkpoint in the making: what has been committed behind the last one.
        let mut behind = Vec::new();
        for (key, bytes) in disk.all(Family::Commits) {
            let commit = CommitKey::read(Family::Commits, key).unwrap();
            if commit.epoch > summary.epoch || commit.epoch == summary.epoch && commit.commit > summary.commit
            {
                let executed: Executed = storage::value(Family::Commits, key, bytes).unwrap();
                behind.push((commit.epoch, executed));
            }
        }
        // The last of an epoch waits for its end, and for the snapshot behind it.
        let is_last = |executed: &Executed| executed.index.get() == TURNS && executed.snapshot.is_none();
        let waits = behind.pop_if(|(_, executed)| is_last(executed));
        let ended = waits.filter(|(epoch, _)| *epoch < head.epoch);
        let mut checkpoints = Vec::new();
        for (_, executed) in behind {
            checkpoints.extend(builder.add(executed).unwrap());
        }
        let mut node = Self {
            state: State::new(head, unsettled, most_bytes),
            disk,
            builder,
            params,
            repeats: 0,
            batches_left: usize::MAX,
        };
        for (summary, contents) in checkpoints {
            node.write(&storage::checkpoint(&summary, &contents));
            if summary.snapshot.is_some() {
                let cutting = Cutting::new(&params);
                node.builder = Builder::behind(cutting, node.state.head().epoch, &summary).unwrap();
            }
        }
        if let Some((epoch, last)) = ended {
            node.snapshot(epoch, last);
        }
        node
    }

    /// Whether the disk still takes it.
    fn write(&mut self, batch: &[Write]) -> bool {
        if self.batches_left == 0 {
            return false;
        }
        self.batches_left -= 1;
        self.disk.write(batch);
        true
    }

    /// Computes something until all that it needs is at hand.
    fn compute<T>(&mut self, run: impl Fn(&State) -> T) -> T {
        loop {
            let result = run(&self.state);
            let missed = self.state.take_missed();
            if missed.is_empty() {
                return result;
            }
            self.repeats += 1;
            for id in missed {
                self.state.load(id, self.disk.get(Family::Objects, &id)).unwrap();
            }
        }
    }

    /// Whether the disk took it.
    fn step(&mut self, step: &Step) -> bool {
        match step {
            Step::Commit(context, asked) => self.commit(context, asked),
            Step::Close(at) => self.close(*at),
        }
    }

    fn commit(&mut self, context: &Context, asked: &[Verified<Transaction>]) -> bool {
        let named = asked.iter().flat_map(|transaction| {
            let owned = transaction.gas.iter().chain(transaction.kind.owned());
            let shared = transaction.kind.shared(transaction.sender);
            owned.map(|named| named.id).chain(shared).collect::<Vec<_>>()
        });
        for id in self.state.lacks(named) {
            self.state.load(id, self.disk.get(Family::Objects, &id)).unwrap();
        }
        let applied = self.compute(|state| Application::new(*context, state, asked).run_all());
        let applied = applied.unwrap();
        let outcomes = applied.results.iter().flatten().map(|outcome| &outcome.effects);
        let records: Vec<Record> = outcomes
            .chain(&applied.end)
            .map(|effects| Record {
                signed: None,
                effects: effects.clone(),
            })
            .collect();
        let mut root = self.state.head().root.clone();
        root.unite(&applied.change);
        let executed = Executed {
            index: context.commit,
            timestamp: context.at,
            snapshot: None,
            entries: records.iter().map(|record| entry(&record.effects)).collect(),
            fees: applied.accrual.fees,
            state: root.digest(),
        };
        let head = self.head(context.system.epoch, context.commit, root);
        let batch = storage::batch(&head, &applied.writes, Some((head.epoch, &executed)), &records);
        if !self.write(&batch) {
            return false;
        }
        self.state.apply(head, &applied.writes);
        // The last commit of an epoch waits for its end.
        let is_last = context.commit.get().is_multiple_of(TURNS);
        is_last || self.cut(executed)
    }

    fn close(&mut self, at: UnixMillis) -> bool {
        let params = self.params;
        let change: EpochChange = self.compute(|state| close(&params, state, at)).unwrap();
        let (mut head, before) = (self.state.head().clone(), self.state.head().epoch);
        let last = CommitKey {
            epoch: before,
            commit: head.commit,
        };
        let mut executed: Executed = self.disk.value(Family::Commits, &last);
        head.root.unite(&root::change([&change.effects]));
        executed.entries.push(entry(&change.effects));
        executed.state = head.root.digest();
        head.epoch = before.next().unwrap();
        head.commit = CommitIndex::ZERO;
        let record = Record {
            signed: None,
            effects: change.effects,
        };
        if !self.write(&storage::batch(
            &head,
            &change.writes,
            Some((before, &executed)),
            &[record],
        )) {
            return false;
        }
        self.state.apply(head, &change.writes);
        self.snapshot(before, executed)
    }

    /// Hashes the chunks in which something has changed.
    fn snapshot(&mut self, epoch: Epoch, mut last: Executed) -> bool {
        let is_missing = |chunk: &u16| self.disk.get(Family::Chunks, chunk).is_none();
        let missing = (0..CHUNKS).filter(is_missing);
        let roots: BTreeMap<u16, Digest> = missing
            .map(|chunk| (chunk, chunk_root(&self.disk.chunk(chunk))))
            .collect();
        let stored = |chunk: u16| match roots.get(&chunk) {
            Some(root) => *root,
            None => self.disk.value(Family::Chunks, &chunk),
        };
        let snapshot = Snapshot::new((0..CHUNKS).map(stored).collect()).unwrap();
        last.snapshot = Some(snapshot.root());
        if !self.write(&storage::snapshot(&roots, epoch, &last)) {
            return false;
        }
        let is_cut = self.cut(last);
        let head = self.state.head();
        let last = *self.disk.all(Family::Checkpoints).last().unwrap();
        let last: Summary = storage::value(Family::Checkpoints, last.0, last.1).unwrap();
        self.builder = Builder::behind(Cutting::new(&self.params), head.epoch, &last).unwrap();
        is_cut
    }

    fn cut(&mut self, executed: Executed) -> bool {
        match self.builder.add(executed).unwrap() {
            Some((summary, contents)) => self.write(&storage::checkpoint(&summary, &contents)),
            None => true,
        }
    }

    fn head(&self, epoch: Epoch, commit: CommitIndex, root: MultisetHash) -> Head {
        Head {
            epoch,
            commit,
            root,
            ..self.state.head().clone()
        }
    }

    /// Deletes what is too old, page by page.
    fn prune(&mut self, kept_epochs: u64) {
        while let Some(pruning) = Pruning::due(self.state.head(), kept_epochs) {
            let (from, below) = pruning.range();
            for family in Pruning::FAMILIES {
                loop {
                    // One that is kept stands among those that go.
                    let entries = self.disk.scan(family, &from, &below, 3);
                    let writes = pruning.page(family, entries).unwrap();
                    if writes.is_empty() {
                        break;
                    }
                    self.disk.write(&writes);
                }
            }
            let end = self.state.pruned(pruning);
            self.disk.write(&[end]);
        }
    }
}

fn entry(effects: &types::Effects) -> Entry {
    Entry {
        transaction: effects.transaction,
        effects: effects.digest(),
        signature: Digest::ZERO,
    }
}

/// What happens in a history, with the states behind its steps.
fn history(seed: u64, epochs: u64) -> (Memory, ProtocolParams, Vec<(Step, Memory)>) {
    let mut driver = Driver {
        chain: Chain::begin(),
        draw: Draw(seed),
    };
    let (genesis, params) = (driver.chain.state.clone(), driver.chain.params);
    let mut steps = Vec::new();
    for _ in 0..epochs {
        for turn in 0..TURNS {
            let (asked, beacon) = driver.turn(turn);
            let context = driver.chain.context(beacon);
            driver.chain.commit(&asked, beacon);
            steps.push((Step::Commit(Box::new(context), asked), driver.chain.state.clone()));
        }
        let at = driver.chain.system().started.get() + params.epoch_duration_ms;
        driver.chain.close();
        steps.push((Step::Close(UnixMillis::new(at)), driver.chain.state.clone()));
    }
    (genesis, params, steps)
}

/// Whether the disk has these objects and no others.
fn check(disk: &Disk, memory: &Memory) {
    let stored: Vec<Vec<u8>> = disk
        .all(Family::Objects)
        .iter()
        .map(|(_, bytes)| bytes.to_vec())
        .collect();
    let live: Vec<Vec<u8>> = memory.iter().map(|live| encode(live.object())).collect();
    assert!(stored == live, "the disk has other objects than the memory");
    let unsettled = ledger::Index::unsettled(memory);
    let keys: Vec<Vec<u8>> = unsettled.iter().map(Key::bytes).collect();
    let stored: Vec<&[u8]> = disk.all(Family::Unsettled).iter().map(|(key, _)| *key).collect();
    assert_eq!(stored, keys);
}

#[test]
fn a_state_on_a_disk_is_the_same_as_one_in_memory() {
    let (genesis, params, steps) = history(1, 4);
    // Less than a commit needs, and more than there ever is.
    for most_bytes in [10_000, usize::MAX] {
        let mut node = Node::begin(&genesis, params, most_bytes);
        for (step, memory) in &steps {
            assert!(node.step(step));
            check(&node.disk, memory);
            assert_eq!(node.state.head().root, root::root(memory.iter()));
            assert!(node.state.bytes() <= most_bytes.max(10_000));
        }
        assert!(node.repeats > 4);
        let few = node.repeats < 20;
        assert_eq!(few, most_bytes == usize::MAX, "{} repeats", node.repeats);
    }
}

#[test]
fn whatever_batch_a_disk_stops_at_the_state_goes_on_to_the_same() {
    let (genesis, params, steps) = history(2, 3);
    let mut whole = Node::begin(&genesis, params, 40_000);
    steps.iter().for_each(|(step, _)| assert!(whole.step(step)));
    let mut draw = Draw(5);
    for _ in 0..40 {
        let mut node = Node::begin(&genesis, params, 40_000);
        node.batches_left = usize::try_from(draw.below(60)).unwrap();
        let mut at = 0;
        while at < steps.len() && node.step(&steps[at].0) {
            at += 1;
        }
        let mut again = Node::open(node.disk, params, 40_000);
        // A node asks for what is behind its head.
        let head = again.state.head();
        let passed = head.epoch.get() * (TURNS + 1) + head.commit.get();
        for (step, _) in &steps[usize::try_from(passed).unwrap()..] {
            assert!(again.step(step));
        }
        assert!(again.disk == whole.disk, "the disk stopped in step {at}");
    }
}

#[test]
fn what_is_pruned_is_gone_and_nothing_that_a_rule_reads() {
    let (genesis, params, steps) = history(3, 6);
    let mut node = Node::begin(&genesis, params, 40_000);
    let mut sizes = Vec::new();
    for (step, memory) in &steps {
        assert!(node.step(step));
        if let Step::Close(_) = step {
            node.prune(2);
            check(&node.disk, memory);
            let rows = |family| node.disk.all(family).len();
            let kept = [Family::Commits, Family::Contents].map(rows);
            sizes.push(kept[0]);
            let epoch = usize::try_from(node.state.head().epoch.get()).unwrap();
            let full = usize::try_from(TURNS).unwrap();
            assert_eq!(
                kept[0],
                full * epoch.min(2),
                "epochs 2 and later keep two epochs of commits"
            );
            assert_eq!(rows(Family::Transactions), rows(Family::Places));
            let entries: usize = node
                .disk
                .all(Family::Contents)
                .iter()
                .map(|(key, bytes)| {
                    storage::value::<Contents>(Family::Contents, key, bytes)
                        .unwrap()
                        .0
                        .len()
                })
                .sum();
            assert_eq!(rows(Family::Transactions), entries);
            let summaries = rows(Family::Checkpoints);
            assert_eq!(
                summaries - kept[1],
                epoch.saturating_sub(2),
                "the last one of each epoch stays"
            );
        }
    }
    assert_eq!(sizes.last(), sizes.get(1));
}

#[test]
fn what_has_happened_and_what_is_current_is_proved_from_the_disk() {
    let (genesis, params, steps) = history(4, 2);
    let mut node = Node::begin(&genesis, params, 40_000);
    steps.iter().for_each(|(step, _)| assert!(node.step(step)));
    let (mut proved, mut written) = (0, 0);
    for (key, bytes) in node.disk.all(Family::Transactions) {
        let digest = types::TransactionDigest::read(Family::Transactions, key).unwrap();
        let record: Record = storage::value(Family::Transactions, key, bytes).unwrap();
        let place: Place = node.disk.value(Family::Places, &digest);
        let at = CheckpointKey {
            epoch: place.epoch,
            sequence: place.checkpoint,
        };
        let summary: Summary = node.disk.value(Family::Checkpoints, &at);
        let contents: Contents = node.disk.value(Family::Contents, &at);
        let executed = ExecutedProof::new(&contents, place.position).unwrap();
        let proof = EffectsProof {
            effects: record.effects.clone(),
            executed: executed.clone(),
        };
        assert_eq!(proof.verify(&summary), Ok(&record.effects));
        let events = u32::try_from(record.effects.events.len()).unwrap();
        for number in 0..events {
            let event = proof.event(&summary, number);
            assert_eq!(event, Ok(&record.effects.events[number as usize]));
        }
        assert!(proof.event(&summary, events).is_err());
        // Of what it wrote, some is still there.
        for change in &record.effects.changes {
            let Some(bytes) = node.disk.get(Family::Objects, &change.id) else {
                continue;
            };
            let object = storage::object(&change.id, bytes).unwrap();
            let is_it = change.after.is_some_and(|after| after.version == object.version);
            assert_eq!(proof.wrote(&summary, &object).is_ok(), is_it);
            let richer = types::Object {
                deposit: types::Shannons::new(u64::MAX),
                ..object
            };
            assert!(proof.wrote(&summary, &richer).is_err());
            written += usize::from(is_it);
        }
        let other = Summary {
            contents: Digest::ZERO,
            ..summary.clone()
        };
        assert!(proof.verify(&other).is_err());
        let mut forged = proof.clone();
        forged.effects.fee.base = types::Shannons::new(7);
        assert!(forged.verify(&summary).is_err());
        forged = proof;
        forged.executed.entry.signature = Digest::of(b"other");
        assert!(forged.verify(&summary).is_err());
        proved += 1;
    }
    assert!(proved > 100 && written > 50, "{proved} {written}");
    assert_eq!(ExecutedProof::new(&Contents::default(), 0), None);

    let (key, last) = *node.disk.all(Family::Checkpoints).last().unwrap();
    let last: Summary = storage::value(Family::Checkpoints, key, last).unwrap();
    let roots = (0..CHUNKS).map(|chunk| node.disk.value(Family::Chunks, &chunk));
    let snapshot = Snapshot::new(roots.collect()).unwrap();
    assert_eq!(last.snapshot, Some(snapshot.root()));
    let (_, memory) = steps.last().unwrap();
    for live in memory.iter() {
        let id = live.object().id;
        let proof = snapshot.prove(&id, &node.disk.chunk(chunk_of(&id))).unwrap();
        assert_eq!(proof.verify(&id, &snapshot.root()), Ok(Some(live.reference())));
    }
    let gone = genesis
        .iter()
        .filter(|live| memory.get(&live.object().id).is_none());
    let mut absent = 0;
    for id in gone.map(|live| live.object().id).chain([ObjectId::from_low(200)]) {
        let proof = snapshot.prove(&id, &node.disk.chunk(chunk_of(&id))).unwrap();
        assert_eq!(proof.verify(&id, &snapshot.root()), Ok(None));
        absent += 1;
    }
    assert!(absent > 1);
}
