//! A crash loses exactly what was not synced, whatever was written before it and however often.

use bytes::Bytes;
use env::{Batch, Clock, Direction, Durability, Env, Family, KeyRange, Reader, Storage, Store};
use proptest::prelude::*;
use sim::Seed;
use sim::disk::{Profile, Survivors};
use sim::kernel::Madsim;
use sim::lab::{Lab, Stage};

const LOG: Family = Family::new("log");
const COUNT: Family = Family::new("count");

/// What a node does with its store.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// Writes a batch and waits for the answer.
    Write(Durability),
    /// Hands a batch over and does not wait.
    Drop(Durability),
    /// Waits for a barrier without a batch.
    Sync,
    /// Lets some microseconds pass.
    Wait(u16),
    /// Reads everything: what was answered is there.
    Read,
    /// Loses its power and starts again.
    Crash(Survivors),
}

fn deed() -> impl Strategy<Value = Deed> {
    let durability = prop_oneof![
        4 => Just(Durability::Buffered),
        1 => Just(Durability::Synced),
    ];
    let survivors = prop_oneof![
        Just(Survivors::Nothing),
        Just(Survivors::Prefix),
        Just(Survivors::Everything),
    ];
    prop_oneof![
        6 => durability.clone().prop_map(Deed::Write),
        4 => durability.prop_map(Deed::Drop),
        1 => Just(Deed::Sync),
        2 => (0..2_000_u16).prop_map(Deed::Wait),
        1 => Just(Deed::Read),
        2 => survivors.prop_map(Deed::Crash),
    ]
}

/// How many batches the model knows of, in the order of their calls.
#[derive(Clone, Copy, Debug, Default)]
struct Model {
    /// Handed over.
    written: u32,
    /// Answered, so that reads see them.
    answered: u32,
    /// Below a barrier that has answered: no crash takes them.
    synced: u32,
    /// Below a barrier that was handed over and that nobody waited for: a crash may take them.
    promised: u32,
}

type StoreOf = <<sim::handle::SimEnv as Env>::Storage as Storage>::Store;

async fn open(stage: &Stage) -> StoreOf {
    let open = stage.env(0).storage().open("store", &[LOG, COUNT]);
    open.await.expect("a sound store opens")
}

/// Batch `number` adds a key and overwrites the count, in another family.
fn batch(number: u32) -> Batch {
    let mut batch = Batch::default();
    batch
        .put(LOG, number.to_be_bytes().to_vec(), &b"written"[..])
        .put(COUNT, &b"count"[..], (number + 1).to_be_bytes().to_vec());
    batch
}

/// How many batches are there. They have to be the first ones, each of them whole.
async fn count(store: &StoreOf) -> u32 {
    // A snapshot: what was handed over may become visible between two reads.
    let snapshot = store.snapshot().await.expect("a sound store reads");
    let scan = snapshot.scan(LOG, KeyRange::ALL, Direction::Forward, usize::MAX);
    let keys: Vec<Bytes> = scan
        .await
        .expect("a sound store reads")
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let length = u32::try_from(keys.len()).expect("there are few batches");
    let first: Vec<Bytes> = (0..length)
        .map(|key| Bytes::copy_from_slice(&key.to_be_bytes()))
        .collect();
    assert_eq!(keys, first, "a prefix");
    let count = snapshot.get(COUNT, b"count").await.expect("a sound store reads");
    let expected = (length > 0).then(|| Bytes::copy_from_slice(&length.to_be_bytes()));
    assert_eq!(count, expected, "whole batches");
    length
}

/// Does every deed and checks after each crash what is left. Answers how many crashes took some and left some of what
/// was not synced.
async fn live(mut stage: Stage, deeds: Vec<Deed>) -> u32 {
    let (mut store, mut model, mut partial) = (open(&stage).await, Model::default(), 0);
    for deed in deeds {
        match deed {
            Deed::Write(durability) => {
                store
                    .write(batch(model.written), durability)
                    .await
                    .expect("a write");
                model.written += 1;
                model.answered = model.written;
                if durability == Durability::Synced {
                    model.synced = model.written;
                }
            }
            Deed::Drop(durability) => {
                drop(store.write(batch(model.written), durability));
                model.written += 1;
                if durability == Durability::Synced {
                    model.promised = model.written;
                }
            }
            Deed::Sync => {
                store.sync().await.expect("a barrier");
                (model.answered, model.synced) = (model.written, model.written);
            }
            Deed::Wait(micros) => {
                let time = std::time::Duration::from_micros(micros.into());
                stage.env(0).clock().sleep(time).await;
            }
            Deed::Read => {
                let count = count(&store).await;
                assert!(
                    (model.answered..=model.written).contains(&count),
                    "{count} of {model:?}"
                );
            }
            Deed::Crash(survivors) => {
                stage.crash(0, survivors).await;
                stage.restart(0).await;
                store = open(&stage).await;
                let left = count(&store).await;
                let most = match survivors {
                    // A barrier that nobody waited for may have been answered in time.
                    Survivors::Nothing => model.synced.max(model.promised),
                    Survivors::Prefix | Survivors::Everything => model.written,
                };
                let least = match survivors {
                    Survivors::Everything => model.written,
                    Survivors::Nothing | Survivors::Prefix => model.synced,
                };
                assert!(
                    (least..=most).contains(&left),
                    "{survivors:?} left {left} of {model:?}"
                );
                partial += u32::from(model.synced < left && left < model.written);
                model = Model {
                    written: left,
                    answered: left,
                    synced: left,
                    promised: left,
                };
            }
        }
    }
    partial
}

fn lab(seed: u64, disk: Profile) -> Lab {
    let mut lab = Lab::new(1);
    (lab.seed, lab.config.disk) = (Seed::new(seed), disk);
    lab
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_crash_loses_exactly_what_was_not_synced(
        seed in any::<u64>(),
        cloud in any::<bool>(),
        deeds in prop::collection::vec(deed(), 1..60),
    ) {
        let disk = if cloud { Profile::CLOUD } else { Profile::NVME };
        lab(seed, disk).run::<Madsim, _, _, _>(|stage| live(stage, deeds));
    }
}

#[test]
fn crashes_leave_every_part_of_what_was_not_synced() {
    let mut deeds = vec![Deed::Write(Durability::Synced)];
    deeds.extend([Deed::Write(Durability::Buffered); 6]);
    deeds.push(Deed::Crash(Survivors::Prefix));
    let deeds = deeds.repeat(40);
    let played = lab(1, Profile::NVME).run::<Madsim, _, _, _>(|stage| live(stage, deeds));
    // Of seven lengths, two are all and nothing.
    assert!((20..=37).contains(&played.value), "{} of 40", played.value);
}
