//! From data to a score, position by position.
//!
//! Source: `EXACT.md` 2, 7 and 9.

use types::score::{Embedding, Loss, rdiv};

use super::Invalid;
use super::attention::{Head, attend};
use super::gelu::gelu;
use super::import::{Layer, Model};
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
pub fn score(model: &Model, data: Data<'_>) -> Result<Score, Invalid> {
    let chunks = data
        .chunks(&model.shape)
        .map(|chunk| score_observed(model, &chunk, |_, _| {}));
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
    mut observe: impl FnMut(Stage, &[Vec<i32>]),
) -> Result<ChunkScore, Invalid> {
    let width = model.shape.width();
    let token = |position| usize::from(chunk.token(position));
    let row = |position| model.embedding[token(position) * width..][..width].to_vec();
    let mut rows: Vec<_> = (0..chunk.computed()).map(row).collect();
    observe(Stage::Embedded, &rows);
    for (number, layer) in model.layers.iter().enumerate() {
        add_attention(model, layer, &mut rows)?;
        rows.iter_mut().try_for_each(|row| add_feed_forward(layer, row))?;
        observe(Stage::Layer(number), &rows);
    }
    let last = rows.iter().map(|row| normalise(row, &model.final_norm));
    let last = last.collect::<Result<Vec<_>, _>>()?;
    observe(Stage::Represented, &last);
    let logits = last.iter().map(|row| model.predictor.apply(&quantise(row)));
    let logits = logits.collect::<Result<Vec<_>, _>>()?;
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
fn add_attention(model: &Model, layer: &Layer, rows: &mut [Vec<i32>]) -> Result<(), Invalid> {
    let head_width = model.shape.head_width();
    let mut heads = vec![Vec::with_capacity(rows.len()); model.shape.heads()];
    for (position, row) in rows.iter_mut().enumerate() {
        let input = quantise(&normalise(row, &layer.norm_1)?);
        let (query, key, value) = (
            layer.query.apply(&input)?,
            layer.key.apply(&input)?,
            layer.value.apply(&input)?,
        );
        let mut taken = Vec::with_capacity(row.len());
        for (number, positions) in heads.iter_mut().enumerate() {
            let part = number * head_width..(number + 1) * head_width;
            let (query, key, value) = (&query[part.clone()], &key[part.clone()], &value[part]);
            positions.push(Head::new(position, query, key, value, &model.rotations)?);
            taken.extend(attend(positions)?);
        }
        add(row, &layer.output.apply(&quantise(&taken))?)?;
    }
    Ok(())
}

/// Adds to a row what the feed-forward network makes of it.
fn add_feed_forward(layer: &Layer, row: &mut [i32]) -> Result<(), Invalid> {
    let input = quantise(&normalise(row, &layer.norm_2)?);
    let inner: Vec<_> = layer.inner.apply(&input)?.into_iter().map(gelu).collect();
    add(row, &layer.outer.apply(&quantise(&inner))?)
}

fn add(row: &mut [i32], change: &[i32]) -> Result<(), Invalid> {
    for (entry, change) in row.iter_mut().zip(change) {
        *entry = check(i64::from(*entry) + i64::from(*change))?;
    }
    Ok(())
}
