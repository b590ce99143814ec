//! Scores against those of another implementation of `EXACT.md`: `fixtures/scoring/exact.py`.

use crypto::Digest;
use scoring::exact::forward::combine;
use scoring::exact::score_observed;
use scoring::random::{self, Spread};
use scoring::{Data, Model, Path, Shape, Weights, score};
use types::score::{Direction, Embedding, distance};

/// Losses and embeddings of the same models in real numbers; its head says what the fields are.
const REAL: &str = include_str!("../../../fixtures/scoring/real.txt");

/// Its head says what the fields are.
const SCORES: &str = include_str!("../../../fixtures/scoring/scores.txt");

const WELL_FORMED: &str = "a fixture is well formed";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect(WELL_FORMED), 16).expect(WELL_FORMED))
        .collect()
}

fn shape(text: &str) -> Shape {
    let sizes: Vec<usize> = text
        .split(' ')
        .map(|size| size.parse().expect(WELL_FORMED))
        .collect();
    let [layers, heads, head_width, inner, sequence] = sizes[..] else {
        panic!("{text}")
    };
    Shape::new(layers, heads, head_width, inner, sequence).expect(WELL_FORMED)
}

/// Writes `tensor:index:bits` into a file of `shape`.
fn change(shape: &Shape, file: &mut [u8], change: &str) {
    let [name, index, bits] = change.split(':').collect::<Vec<_>>()[..] else {
        panic!("{change}")
    };
    let tensors = shape.tensors();
    let from = tensors
        .iter()
        .position(|tensor| tensor.name == name)
        .expect(WELL_FORMED);
    let behind: usize = tensors[from..].iter().map(|tensor| 4 * tensor.entries()).sum();
    let at = file.len() - behind + 4 * index.parse::<usize>().expect(WELL_FORMED);
    let bits = u32::from_str_radix(bits, 16).expect(WELL_FORMED);
    file[at..at + 4].copy_from_slice(&bits.to_le_bytes());
}

/// What stands in the row behind the digest of the file.
fn found(shape: &Shape, file: &[u8], data: &[u8], path: Path) -> String {
    let weights = Weights::read(*shape, file).expect(WELL_FORMED);
    let data = Data::new(data).expect(WELL_FORMED);
    let Ok(model) = Model::import(&weights) else {
        return "invalid".to_owned();
    };
    let mut stages = Vec::new();
    let chunks = data.chunks(shape).map(|chunk| {
        score_observed(&model, &chunk, path, |_, rows| {
            let bytes: Vec<u8> = rows
                .iter()
                .flatten()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            stages.push(hex(&Digest::of(&bytes).as_bytes()[..8]));
        })
    });
    let chunks: Result<Vec<_>, _> = chunks.collect();
    let combined = chunks.and_then(|chunks| combine(&chunks));
    assert_eq!(
        combined,
        score(&model, data, path),
        "nobody's watching changes a score"
    );
    let Ok(score) = combined else {
        return "invalid".to_owned();
    };
    let numbers = |numbers: Vec<String>| numbers.join(" ");
    let embedding = score.embedding.coordinates().iter().map(ToString::to_string);
    let losses = score.chunks.iter().map(|loss| loss.total().to_string());
    let loss = format!("{} {}", score.loss.total(), score.loss.positions());
    [
        loss,
        numbers(embedding.collect()),
        numbers(losses.collect()),
        numbers(stages),
    ]
    .join(" | ")
}

#[test]
fn scores_are_those_of_another_implementation() {
    let rows: Vec<_> = SCORES.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in rows {
        let fields: Vec<_> = row.splitn(8, " | ").collect();
        let [name, sizes, seed, spread, changes, data, digest, expected] = fields[..] else {
            panic!("not eight fields: {row}")
        };
        let shape = shape(sizes);
        let spread = if spread == "even" {
            Spread::Even
        } else {
            Spread::Outliers
        };
        let mut file = random::model(&shape, seed.parse().unwrap(), spread);
        changes
            .split_whitespace()
            .for_each(|text| change(&shape, &mut file, text));
        assert_eq!(hex(Digest::of(&file).as_bytes()), digest, "the file of: {name}");
        for path in [Path::Plain, Path::Blocked] {
            assert_eq!(
                found(&shape, &file, &from_hex(data), path),
                expected,
                "{name}, {path:?}"
            );
        }
    }
}

#[test]
fn scores_are_close_to_those_in_real_numbers() {
    // The loss of a position may be off by this, Q24: 2^-10 nats, and 2^-6 where outliers take the bits of their neighbours.
    let (even, outliers) = (1 << 14, 1 << 18);
    let rows: Vec<_> = REAL.lines().filter(|line| !line.starts_with('#')).collect();
    let valid = SCORES
        .lines()
        .filter(|line| !line.starts_with('#') && !line.ends_with("invalid"));
    assert_eq!(rows.len(), valid.clone().count());
    for (row, exact) in rows.into_iter().zip(valid) {
        let [name, loss, embedding] = row.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not three fields: {row}")
        };
        let fields: Vec<_> = exact.split(" | ").collect();
        assert_eq!(fields[0], name);
        let (total, positions) = fields[7].split_once(' ').unwrap();
        let positions: u64 = positions.parse().unwrap();
        let error = total.parse::<u64>().unwrap().abs_diff(loss.parse().unwrap()) / positions;
        assert!(
            error < if fields[3] == "even" { even } else { outliers },
            "{name}: {error}"
        );
        let vector = |text: &str| {
            text.split(' ')
                .map(|value| value.parse().unwrap())
                .collect::<Vec<i32>>()
        };
        let exact = Embedding::new(vector(fields[8])).unwrap();
        let real = Direction::new(vector(embedding)).unwrap();
        let distance = distance(&exact, &real).unwrap();
        assert!(distance.get() < 1_000, "{name}: {distance}");
    }
}
