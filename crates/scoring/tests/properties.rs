//! What every exact score keeps, whatever the model and the data.

use proptest::collection::vec;
use proptest::prelude::*;
use scoring::exact::forward::combine;
use scoring::exact::{Stage, score_observed};
use scoring::random::{self, Spread};
use scoring::{Data, Invalid, Model, Path, Shape, Weights, score};

fn shape() -> Shape {
    Shape::new(2, 2, 4, 12, 12).expect("a small shape")
}

fn model(file: &[u8]) -> Result<Model, Invalid> {
    Model::import(&Weights::read(shape(), file).expect("the file of a random model"))
}

/// A row for each position.
type Rows = Vec<Vec<i32>>;

/// The stages of the first chunk, up to the one in which the model is found invalid.
fn stages(model: &Model, bytes: &[u8], path: Path) -> Vec<(Stage, Rows)> {
    let data = Data::new(bytes).expect("data of a few bytes");
    let chunk = data.chunks(&model.shape).next().expect("there is a byte");
    let mut stages = Vec::new();
    // Invalid or not, what was seen until then is what counts here.
    drop(score_observed(model, &chunk, path, |stage, rows| {
        stages.push((stage, rows.to_vec()))
    }));
    stages
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn other_bytes_in_the_future_change_nothing_in_the_past(
        seed: u64,
        outliers: bool,
        path in prop_oneof![Just(Path::Plain), Just(Path::Blocked)],
        past in vec(any::<u8>(), 1..9),
        future in vec(any::<u8>(), 1..5),
        other in vec(any::<u8>(), 1..5),
    ) {
        let spread = if outliers { Spread::Outliers } else { Spread::Even };
        let model = model(&random::model(&shape(), seed, spread)).expect("random weights are small");
        let one = stages(&model, &[past.clone(), future].concat(), path);
        let two = stages(&model, &[past.clone(), other].concat(), path);
        // A model may become invalid in the future; what was seen until then has to agree.
        for ((stage, one), (_, two)) in one.iter().zip(&two) {
            prop_assert_eq!(&one[..past.len()], &two[..past.len()], "{:?}", stage);
        }
        prop_assert!(one.len() > 1 && two.len() > 1);
    }

    #[test]
    fn chunks_know_nothing_of_each_other_and_of_their_order(seed: u64, bytes in vec(any::<u8>(), 1..40)) {
        let model = model(&random::model(&shape(), seed, Spread::Outliers)).expect("random weights are small");
        let data = Data::new(&bytes).expect("data of a few bytes");
        let Ok(whole) = score(&model, data, Path::Plain) else {
            return Ok(());
        };
        let alone = |bytes: &[u8]| {
            let data = Data::new(bytes).expect("data of a few bytes");
            let chunk = data.chunks(&model.shape).next().expect("there is a byte");
            score_observed(&model, &chunk, Path::Blocked, |_, _| {}).expect("a part of valid data")
        };
        let mut chunks: Vec<_> = bytes.chunks(12).map(alone).collect();
        prop_assert_eq!(combine(&chunks), Ok(whole.clone()));
        let losses: Vec<_> = chunks.iter().map(|chunk| chunk.loss).collect();
        prop_assert_eq!(losses, whole.chunks);
        chunks.reverse();
        let reversed = combine(&chunks).expect("sums of integers have no order");
        prop_assert_eq!((reversed.loss, reversed.embedding), (whole.loss, whole.embedding));
    }

    #[test]
    fn any_bits_in_a_file_end_in_one_score_or_in_none(
        seed: u64,
        changes in vec((any::<prop::sample::Index>(), prop_oneof![
            any::<u32>(), // any float at all
            (0x3f80_0000..0x4780_0000u32), // from 1 to 2^16
            (0xbf80_0000..0xc680_0000u32), // from -1 to -2^14
            Just(0x467f_ffff), Just(0x477f_ffff), Just(0x8000_0000), Just(1),
        ]), 1..60),
        bytes in vec(any::<u8>(), 1..14),
    ) {
        let mut file = random::model(&shape(), seed, Spread::Outliers);
        let entries: usize = shape().tensors().iter().map(|tensor| tensor.entries()).sum();
        let first = file.len() - 4 * entries;
        for (index, bits) in changes {
            let at = first + 4 * index.index(entries);
            file[at..at + 4].copy_from_slice(&bits.to_le_bytes());
        }
        let data = Data::new(&bytes).expect("data of a few bytes");
        // The same score, or invalid on both paths, for whichever reason.
        let outcome = |path| model(&file).and_then(|model| score(&model, data, path)).ok();
        prop_assert_eq!(outcome(Path::Plain), outcome(Path::Blocked));
    }
}
