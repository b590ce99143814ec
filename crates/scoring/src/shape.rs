//! How large a model is, and which tensors that gives it.

/// Different tokens: 256 bytes, [`PAD`](crate::data::PAD), [`EOS`](crate::data::EOS), and six that never occur.
pub const VOCABULARY: usize = 264;

/// The sizes of a model. All models that compete have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    layers: usize,
    heads: usize,
    head_width: usize,
    inner: usize,
    sequence: usize,
}

/// Why sizes are not those of a model that the arithmetic is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// No layer, or too many.
    #[error("{0} layers, not from 1 to {max}", max = Shape::MAX_LAYERS)]
    Layers(usize),
    /// Not a power of two, or the model gets too wide.
    #[error("{0} heads, not a power of two that keeps the width within {max}", max = Shape::MAX_WIDTH)]
    Heads(usize),
    /// Not a power of two from 4 to 256.
    #[error("heads {0} wide, not a power of two from 4 to {max}", max = Shape::MAX_HEAD_WIDTH)]
    HeadWidth(usize),
    /// No feed-forward unit, or too many.
    #[error("{0} feed-forward units, not from 1 to {max}", max = Shape::MAX_INNER)]
    Inner(usize),
    /// Chunks that are too short to predict anything, or too long.
    #[error("chunks of {0} positions, not from 2 to {max}", max = Shape::MAX_SEQUENCE)]
    Sequence(usize),
}

/// The name of a tensor in a file, and its dimensions: one or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape {
    /// What the file calls it.
    pub name: String,
    /// How many rows and columns it has, or how many entries.
    pub dimensions: Vec<usize>,
}

impl Shape {
    /// The most layers: ten times what the networks in use have.
    pub const MAX_LAYERS: usize = 256;
    /// The most entries of a token's vector.
    pub const MAX_WIDTH: usize = 2_048;
    /// The widest head.
    pub const MAX_HEAD_WIDTH: usize = 256;
    /// The most units between the two halves of a feed-forward network.
    pub const MAX_INNER: usize = 8_192;
    /// The longest chunk.
    pub const MAX_SEQUENCE: usize = 1_024;

    /// The model of version 1: 24 layers, 2048 wide, in chunks of 1024.
    pub const V1: Self = Self {
        layers: 24,
        heads: 8,
        head_width: 256,
        inner: 8_192,
        sequence: 1_024,
    };

    /// That of local networks: 2 layers, 16 wide.
    pub const SMALL: Self = Self {
        layers: 2,
        heads: 4,
        head_width: 4,
        inner: 32,
        sequence: 1_024,
    };

    /// So many layers, of so many heads of this width, with so many feed-forward units, on chunks of this length.
    ///
    /// # Errors
    /// [`ShapeError`], for the first size beyond what the bounds in `EXACT.md` are proved for.
    pub const fn new(
        layers: usize,
        heads: usize,
        head_width: usize,
        inner: usize,
        sequence: usize,
    ) -> Result<Self, ShapeError> {
        if layers == 0 || layers > Self::MAX_LAYERS {
            return Err(ShapeError::Layers(layers));
        }
        if !head_width.is_power_of_two() || head_width < 4 || head_width > Self::MAX_HEAD_WIDTH {
            return Err(ShapeError::HeadWidth(head_width));
        }
        if !heads.is_power_of_two() || heads > Self::MAX_WIDTH / head_width {
            return Err(ShapeError::Heads(heads));
        }
        if inner == 0 || inner > Self::MAX_INNER {
            return Err(ShapeError::Inner(inner));
        }
        if sequence < 2 || sequence > Self::MAX_SEQUENCE {
            return Err(ShapeError::Sequence(sequence));
        }
        Ok(Self {
            layers,
            heads,
            head_width,
            inner,
            sequence,
        })
    }

    /// How many layers.
    pub const fn layers(&self) -> usize {
        self.layers
    }

    /// How many heads each layer's attention has.
    pub const fn heads(&self) -> usize {
        self.heads
    }

    /// Entries of a head: a power of two.
    pub const fn head_width(&self) -> usize {
        self.head_width
    }

    /// Entries of a token's vector: a power of two.
    pub const fn width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Units between the halves of a feed-forward network.
    pub const fn inner(&self) -> usize {
        self.inner
    }

    /// Positions of a full chunk.
    pub const fn sequence(&self) -> usize {
        self.sequence
    }

    /// Every tensor of such a model, sorted by name, byte by byte: the order of the files that this crate writes.
    pub fn tensors(&self) -> Vec<TensorShape> {
        let (width, inner) = (self.width(), self.inner);
        let mut tensors = Vec::new();
        let mut add = |name: String, dimensions: &[usize]| {
            let dimensions = dimensions.to_vec();
            tensors.push(TensorShape { name, dimensions });
        };
        add("embedding.weight".to_owned(), &[VOCABULARY, width]);
        for layer in 0..self.layers {
            let prefix = format!("encoder.layers.{layer}");
            for part in ["query", "key", "value", "output"] {
                add(format!("{prefix}.attention.{part}.weight"), &[width, width]);
                add(format!("{prefix}.attention.{part}.bias"), &[width]);
            }
            for norm in ["norm_1", "norm_2"] {
                add(format!("{prefix}.{norm}.gamma"), &[width]);
                add(format!("{prefix}.{norm}.beta"), &[width]);
            }
            add(format!("{prefix}.pwff.linear_inner.weight"), &[width, inner]);
            add(format!("{prefix}.pwff.linear_inner.bias"), &[inner]);
            add(format!("{prefix}.pwff.linear_outer.weight"), &[inner, width]);
            add(format!("{prefix}.pwff.linear_outer.bias"), &[width]);
        }
        add("final_norm.gamma".to_owned(), &[width]);
        add("final_norm.beta".to_owned(), &[width]);
        add("predictor.weight".to_owned(), &[width, VOCABULARY]);
        add("predictor.bias".to_owned(), &[VOCABULARY]);
        tensors.sort_by(|one, other| one.name.cmp(&other.name));
        tensors
    }
}

impl TensorShape {
    /// How many numbers it holds.
    pub fn entries(&self) -> usize {
        self.dimensions.iter().product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(shape: Shape) -> usize {
        shape.tensors().iter().map(TensorShape::entries).sum()
    }

    #[test]
    fn the_models_in_use_have_as_many_parameters_as_the_reference() {
        assert_eq!(
            (Shape::V1.tensors().len(), parameters(Shape::V1)),
            (389, 1_209_684_232)
        );
        assert_eq!(
            (Shape::SMALL.tensors().len(), parameters(Shape::SMALL)),
            (37, 13_192)
        );
    }

    #[test]
    fn the_models_in_use_are_shapes() {
        assert_eq!(Shape::new(24, 8, 256, 8_192, 1_024), Ok(Shape::V1));
        assert_eq!(Shape::new(2, 4, 4, 32, 1_024), Ok(Shape::SMALL));
    }

    #[test]
    fn a_size_beyond_the_bounds_is_named() {
        for (shape, error) in [
            (Shape::new(0, 4, 4, 32, 64), ShapeError::Layers(0)),
            (Shape::new(257, 4, 4, 32, 64), ShapeError::Layers(257)),
            (Shape::new(2, 0, 4, 32, 64), ShapeError::Heads(0)),
            (Shape::new(2, 3, 4, 32, 64), ShapeError::Heads(3)),
            (Shape::new(2, 16, 256, 32, 64), ShapeError::Heads(16)),
            (Shape::new(2, 4, 2, 32, 64), ShapeError::HeadWidth(2)),
            (Shape::new(2, 4, 12, 32, 64), ShapeError::HeadWidth(12)),
            (Shape::new(2, 1, 512, 32, 64), ShapeError::HeadWidth(512)),
            (Shape::new(2, 4, 4, 0, 64), ShapeError::Inner(0)),
            (Shape::new(2, 4, 4, 8_193, 64), ShapeError::Inner(8_193)),
            (Shape::new(2, 4, 4, 32, 1), ShapeError::Sequence(1)),
            (Shape::new(2, 4, 4, 32, 1_025), ShapeError::Sequence(1_025)),
        ] {
            assert_eq!(shape, Err(error));
        }
    }
}
