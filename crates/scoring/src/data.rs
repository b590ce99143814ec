//! The data contract: how bytes become tokens, and which of them a model is asked for.
//!
//! The rules for tokens, ends and targets are those of the reference model, so data and weights can be exchanged with it.
//! Ours: positions for the exact arithmetic count from the chunk's first byte, and padding is not computed at all, since no
//! position that counts can see it.

use crate::shape::Shape;

/// Stands where a partial chunk has nothing.
pub const PAD: u16 = 256;
/// Stands behind the last byte of a partial chunk.
pub const EOS: u16 = 257;

/// Bytes that can be scored: at least one, and no more than a loss has positions for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a>(&'a [u8]);

/// Why bytes cannot be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// There is none to predict.
    #[error("no bytes")]
    Empty,
    /// More than a loss has positions for.
    #[error("{found} bytes, more than {max}", max = Data::MAX_BYTES)]
    TooLong {
        /// How many there are.
        found: usize,
    },
}

/// As many bytes as a model sees at once. Chunks do not overlap, and know nothing of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    offset: usize,
    bytes: &'a [u8],
    sequence: usize,
}

impl<'a> Data<'a> {
    /// The most bytes of one score.
    pub const MAX_BYTES: usize = types::score::Loss::MAX_POSITIONS as usize;

    /// These bytes.
    ///
    /// # Errors
    /// [`DataError`].
    pub const fn new(bytes: &'a [u8]) -> Result<Self, DataError> {
        match bytes.len() {
            0 => Err(DataError::Empty),
            found if found > Self::MAX_BYTES => Err(DataError::TooLong { found }),
            _ => Ok(Self(bytes)),
        }
    }

    /// Its chunks in order, each full but perhaps the last. There is at least one, and each has a target that counts.
    pub fn chunks(self, shape: &Shape) -> impl ExactSizeIterator<Item = Chunk<'a>> + use<'a> {
        let sequence = shape.sequence();
        let chunks = self.0.chunks(sequence).enumerate();
        chunks.map(move |(index, bytes)| Chunk {
            offset: index * sequence,
            bytes,
            sequence,
        })
    }
}

impl Chunk<'_> {
    /// How many positions are computed: all of a full chunk; the bytes of a partial one, and its end.
    pub const fn computed(&self) -> usize {
        if self.is_full() {
            self.sequence
        } else {
            self.bytes.len() + 1
        }
    }

    /// How many positions have a target: the first ones. The last of a full chunk has none, nor has an end.
    pub const fn counted(&self) -> usize {
        self.computed() - 1
    }

    /// The token at `position`, which may be any up to the sequence's length.
    pub fn token(&self, position: usize) -> u16 {
        match self.bytes.get(position) {
            Some(byte) => u16::from(*byte),
            None if position == self.bytes.len() && !self.is_full() => EOS,
            None => PAD,
        }
    }

    /// What should be predicted at `position`: the next token, and padding at the end of a full chunk and of a sequence.
    pub fn target(&self, position: usize) -> u16 {
        self.token(position + 1)
    }

    /// Where the reference places `position`: in the data, not in the chunk, and all padding where the end is.
    pub const fn place(&self, position: usize) -> usize {
        if position < self.bytes.len() {
            self.offset + position
        } else {
            self.offset + self.bytes.len()
        }
    }

    /// How many positions there are, padding included.
    pub const fn sequence(&self) -> usize {
        self.sequence
    }

    const fn is_full(&self) -> bool {
        self.bytes.len() == self.sequence
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn shape(sequence: usize) -> Shape {
        Shape::new(1, 1, 4, 1, sequence).unwrap()
    }

    fn chunks(bytes: &[u8], sequence: usize) -> Vec<Chunk<'_>> {
        Data::new(bytes).unwrap().chunks(&shape(sequence)).collect()
    }

    /// Tokens, places and targets of a chunk, at all positions.
    fn rows(chunk: &Chunk<'_>) -> [Vec<usize>; 3] {
        let all = 0..chunk.sequence();
        [
            all.clone().map(|at| usize::from(chunk.token(at))).collect(),
            all.clone().map(|at| chunk.place(at)).collect(),
            all.map(|at| usize::from(chunk.target(at))).collect(),
        ]
    }

    #[test]
    fn a_partial_chunk_ends_with_eos_and_padding() {
        let found = chunks(b"Hi!", 8);
        let [chunk] = found[..] else { panic!("{found:?}") };
        let expected = [
            vec![72, 105, 33, 257, 256, 256, 256, 256],
            vec![0, 1, 2, 3, 3, 3, 3, 3],
            vec![105, 33, 257, 256, 256, 256, 256, 256],
        ];
        assert_eq!(rows(&chunk), expected);
        assert_eq!((chunk.computed(), chunk.counted()), (4, 3));
    }

    #[test]
    fn a_full_chunk_neither_ends_nor_predicts_the_next_one() {
        let found = chunks(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 6);
        let [first, last] = found[..] else {
            panic!("{found:?}")
        };
        let expected = [
            vec![0, 1, 2, 3, 4, 5],
            vec![0, 1, 2, 3, 4, 5],
            vec![1, 2, 3, 4, 5, 256],
        ];
        assert_eq!(rows(&first), expected);
        assert_eq!((first.computed(), first.counted()), (6, 5));
        let expected = [
            vec![6, 7, 8, 9, 257, 256],
            vec![6, 7, 8, 9, 10, 10],
            vec![7, 8, 9, 257, 256, 256],
        ];
        assert_eq!(rows(&last), expected);
        assert_eq!((last.computed(), last.counted()), (5, 4));
    }

    #[test]
    fn one_byte_counts_once_for_its_end() {
        let found = chunks(&[0], 4);
        let [chunk] = found[..] else { panic!("{found:?}") };
        let expected = [vec![0, 257, 256, 256], vec![0, 1, 1, 1], vec![257, 256, 256, 256]];
        assert_eq!(rows(&chunk), expected);
        assert_eq!((chunk.computed(), chunk.counted()), (2, 1));
    }

    #[test]
    fn data_has_from_one_byte_to_a_mebibyte() {
        assert_eq!(Data::new(&[]), Err(DataError::Empty));
        let bytes = vec![0; (1 << 20) + 1];
        assert!(Data::new(&bytes[1..]).is_ok());
        assert_eq!(Data::new(&bytes), Err(DataError::TooLong { found: 1_048_577 }));
    }

    proptest! {
        #[test]
        fn the_targets_that_count_are_those_that_are_not_padding(
            bytes in vec(any::<u8>(), 1..200),
            sequence in 2..50usize,
        ) {
            let found = chunks(&bytes, sequence);
            prop_assert_eq!(found.len(), bytes.len().div_ceil(sequence));
            for chunk in &found {
                let is_real = |token: u16| token != PAD;
                let all = 0..chunk.sequence();
                let counted: Vec<_> = all.clone().filter(|at| is_real(chunk.target(*at))).collect();
                let computed: Vec<_> = all.filter(|at| is_real(chunk.token(*at))).collect();
                prop_assert_eq!(counted, (0..chunk.counted()).collect::<Vec<_>>());
                prop_assert_eq!(computed, (0..chunk.computed()).collect::<Vec<_>>());
                prop_assert!(chunk.counted() >= 1);
            }
            let places = found.iter().flat_map(|chunk| (0..chunk.bytes.len()).map(|at| chunk.place(at)));
            prop_assert!(places.eq(0..bytes.len()));
        }
    }
}
