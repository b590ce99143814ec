//! From data to a score, position by position.
//!
//! Source: `EXACT.md` 2, 7 and 9.

use types::score::{Embedding, Loss, rdiv};

use super::Invalid;
use super::attention::{Head, attend};
use super::blocked;
use super::gelu::gelu;
use super::import::{Layer, Linear, Model};
use super::loss::surprise;
use super::norm::normalise;
use super::round::{check, quantise};
use crate::data::{Chunk, Data};

/// What a model makes of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// How badly it predicts it.
    pub loss: Loss,
    /// Where it sees it.
    pub embedding: Embedding,
    /// The losses of its chunks in order, whose sum the loss is.
    pub chunks: Vec<Loss>,
}

/// What a model makes of one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkScore {
    /// How badly it predicts it.
    pub loss: Loss,
    /// The sum of the last vectors of all computed positions, Q16.
    pub sum: Vec<i64>,
    /// How many positions were computed.
    pub computed: u32,
}

/// How the products of matrices are computed. Every path gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// One sum of integers after the other: what the others are compared with.
    Plain,
    /// In blocks of 64-bit floats that hold integers; see [`blocked`].
    Blocked,
}

impl Path {
    fn apply(self, linear: &Linear, rows: &[Vec<i32>]) -> Result<Vec<Vec<i32>>, Invalid> {
        match self {
            Self::Plain => each(rows, |row| linear.apply(&quantise(row))),
            Self::Blocked => blocked::apply(linear, rows),
        }
    }
}

/// What is known of all positions of a chunk at some point of the computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The vectors of the tokens.
    Embedded,
    /// The vectors behind the layer with this number.
    Layer(usize),
    /// The vectors behind the last normalisation.
    Represented,
    /// A number for each token of the vocabulary.
    Logits,
}

/// What `model` makes of `data`.
///
/// # Errors
/// [`Invalid`], if it leaves the range of the arithmetic at any computed position, or points nowhere.
pub fn score(model: &Model, data: Data<'_>, path: Path) -> Result<Score, Invalid> {
    let chunks = data
        .chunks(&model.shape)
        .map(|chunk| score_observed(model, &chunk, path, |_, _| {}));
    combine(&chunks.collect::<Result<Vec<_>, _>>()?)
}

/// The score of data that has these chunks. Sums of integers, so no order matters but that of the chunks' losses.
///
/// # Errors
/// [`Invalid::NoDirection`].
///
/// # Panics
/// Unless there are chunks, as many as data can have.
pub fn combine(chunks: &[ChunkScore]) -> Result<Score, Invalid> {
    let width = chunks.first().expect("data has a chunk").sum.len();
    let computed: u32 = chunks.iter().map(|chunk| chunk.computed).sum();
    let coordinate = |at| {
        let sum: i64 = chunks.iter().map(|chunk| chunk.sum[at]).sum();
        i32::try_from(rdiv(i128::from(sum), i128::from(computed)))
            .expect("a mean is no larger than the largest")
    };
    let embedding = Embedding::new((0..width).map(coordinate).collect());
    let losses = chunks.iter().map(|chunk| chunk.loss);
    let total = losses.clone().map(Loss::total).sum();
    let positions = losses.clone().map(Loss::positions).sum();
    Ok(Score {
        loss: Loss::new(total, positions).expect("data has as many positions as a loss"),
        embedding: embedding.map_err(|_| Invalid::NoDirection)?,
        chunks: losses.collect(),
    })
}

/// What `model` makes of `chunk`. `observe` sees each stage: a row for each computed position.
///
/// # Errors
/// [`Invalid::OutOfRange`].
pub fn score_observed(
    model: &Model,
    chunk: &Chunk<'_>,
    path: Path,
    mut observe: impl FnMut(Stage, &[Vec<i32>]),
) -> Result<ChunkScore, Invalid> {
    let width = model.shape.width();
    let token = |position| usize::from(chunk.token(position));
    let row = |position| model.embedding[token(position) * width..][..width].to_vec();
    let mut rows: Vec<_> = (0..chunk.computed()).map(row).collect();
    observe(Stage::Embedded, &rows);
    for (number, layer) in model.layers.iter().enumerate() {
        add_attention(model, layer, path, &mut rows)?;
        add_feed_forward(layer, path, &mut rows)?;
        observe(Stage::Layer(number), &rows);
    }
    let last = each(&rows, |row| normalise(row, &model.final_norm))?;
    observe(Stage::Represented, &last);
    let logits = path.apply(&model.predictor, &last)?;
    observe(Stage::Logits, &logits);

    let counted = chunk.counted();
    let surprises = logits[..counted].iter().enumerate();
    let total = surprises
        .map(|(position, logits)| surprise(logits, chunk.target(position)))
        .sum();
    let positions = u32::try_from(counted).expect("a chunk has at most 1024 positions");
    Ok(ChunkScore {
        loss: Loss::new(total, positions).expect("each surprise is within its bound"),
        sum: (0..width)
            .map(|at| last.iter().map(|row| i64::from(row[at])).sum())
            .collect(),
        computed: positions + 1,
    })
}

/// Adds to each row what it takes from those up to it.
fn add_attention(model: &Model, layer: &Layer, path: Path, rows: &mut [Vec<i32>]) -> Result<(), Invalid> {
    let head_width = model.shape.head_width();
    let inputs = each(rows, |row| normalise(row, &layer.norm_1))?;
    let queries = path.apply(&layer.query, &inputs)?;
    let keys = path.apply(&layer.key, &inputs)?;
    let values = path.apply(&layer.value, &inputs)?;
    let mut taken = vec![Vec::with_capacity(model.shape.width()); rows.len()];
    for head in 0..model.shape.heads() {
        let part = head * head_width..(head + 1) * head_width;
        let mut positions = Vec::with_capacity(rows.len());
        for (position, taken) in taken.iter_mut().enumerate() {
            let [query, key, value] = [&queries, &keys, &values].map(|rows| &rows[position][part.clone()]);
            positions.push(Head::new(position, query, key, value, &model.rotations)?);
            taken.extend(attend(&positions)?);
        }
    }
    add(rows, &path.apply(&layer.output, &taken)?)
}

/// Adds to each row what the feed-forward network makes of it.
fn add_feed_forward(layer: &Layer, path: Path, rows: &mut [Vec<i32>]) -> Result<(), Invalid> {
    let inputs = each(rows, |row| normalise(row, &layer.norm_2))?;
    let mut inner = path.apply(&layer.inner, &inputs)?;
    inner.iter_mut().flatten().for_each(|value| *value = gelu(*value));
    add(rows, &path.apply(&layer.outer, &inner)?)
}

fn add(rows: &mut [Vec<i32>], changes: &[Vec<i32>]) -> Result<(), Invalid> {
    let changes = changes.iter().flatten();
    for (entry, change) in rows.iter_mut().flatten().zip(changes) {
        *entry = check(i64::from(*entry) + i64::from(*change))?;
    }
    Ok(())
}

fn each(
    rows: &[Vec<i32>],
    change: impl Fn(&[i32]) -> Result<Vec<i32>, Invalid>,
) -> Result<Vec<Vec<i32>>, Invalid> {
    rows.iter().map(|row| change(row)).collect()
}
