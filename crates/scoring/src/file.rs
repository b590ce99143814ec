//! The file of a model: safetensors, with exactly the tensors of its shape, all of 32-bit floats.
//!
//! Their names and dimensions are those of the reference model, a matrix's rows being its inputs. Unlike there a tensor of another
//! type or with an unknown name is an error, so that the length of a file follows from the shape, but for its header.

use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::shape::{Shape, TensorShape};

/// Of the header's length, with which a file begins.
const LENGTH_BYTES: u64 = 8;

/// The tensors of a model, as they are in its file. Nothing is copied.
#[derive(Debug)]
pub struct Weights<'a> {
    shape: Shape,
    tensors: SafeTensors<'a>,
}

/// Why bytes are not the file of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The file ends before its header or its tensors do.
    #[error("a file of {found} bytes is not whole: it needs {needed}")]
    Truncated {
        /// How long it is.
        found: u64,
        /// How long it has to be, as far as can be told.
        needed: u64,
    },
    /// Its header is longer than any has to be.
    #[error("a header of {found} bytes, more than {max}", max = Weights::MAX_HEADER_BYTES)]
    HeaderTooLong {
        /// How long it says it is.
        found: u64,
    },
    /// It is longer than a file of this shape can be.
    #[error("a file of {found} bytes, more than {max}")]
    TooLong {
        /// How long it is.
        found: u64,
        /// How long one may be.
        max: u64,
    },
    /// Its header is no description of tensors that lie one behind the other up to the end.
    #[error("not a safetensors file: {reason}")]
    Header {
        /// What the parser says.
        reason: String,
    },
    /// A model of this shape has a tensor that the file has not.
    #[error("tensor {name} is missing")]
    Missing {
        /// What it should be called.
        name: String,
    },
    /// The file has a tensor that no model of this shape has.
    #[error("tensor {name} is unknown")]
    Unknown {
        /// What it is called.
        name: String,
    },
    /// A tensor is not made of 32-bit floats.
    #[error("tensor {name} is of type {found}, not F32")]
    Type {
        /// Which one.
        name: String,
        /// The type, as the format calls it.
        found: String,
    },
    /// A tensor has other dimensions.
    #[error("tensor {name} is {found:?}, not {expected:?}")]
    Dimensions {
        /// Which one.
        name: String,
        /// Its dimensions.
        found: Vec<usize>,
        /// Those that it should have.
        expected: Vec<usize>,
    },
}

impl<'a> Weights<'a> {
    /// The longest header: ten times what the model of version 1 needs.
    pub const MAX_HEADER_BYTES: u64 = 1 << 20;

    /// The tensors of `file`, which must be those of `shape`. Time and memory follow from the header's length.
    ///
    /// # Errors
    /// [`FileError`]. Of several wrong tensors the one whose name sorts first is named, missing ones before unknown ones.
    pub fn read(shape: Shape, file: &'a [u8]) -> Result<Self, FileError> {
        let expected = shape.tensors();
        let bytes = 4 * expected.iter().map(TensorShape::entries).sum::<usize>() as u64;
        check_length(bytes, file)?;
        let tensors = SafeTensors::deserialize(file).map_err(|error| unreadable(&error, bytes, file))?;
        for TensorShape { name, dimensions } in &expected {
            let Ok(tensor) = tensors.tensor(name) else {
                return Err(FileError::Missing { name: name.clone() });
            };
            if tensor.dtype() != Dtype::F32 {
                return Err(FileError::Type {
                    name: name.clone(),
                    found: tensor.dtype().to_string(),
                });
            }
            if tensor.shape() != dimensions {
                return Err(FileError::Dimensions {
                    name: name.clone(),
                    found: tensor.shape().to_vec(),
                    expected: dimensions.clone(),
                });
            }
        }
        let mut names = tensors.names();
        names.sort_unstable();
        let unknown = |name: &&&str| {
            expected
                .binary_search_by(|tensor| tensor.name.as_str().cmp(name))
                .is_err()
        };
        if let Some(name) = names.iter().find(unknown) {
            let name = (*name).to_owned();
            return Err(FileError::Unknown { name });
        }
        Ok(Self { shape, tensors })
    }

    /// The sizes of the model.
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The bit patterns of a tensor's floats, row by row.
    ///
    /// # Panics
    /// If no tensor of the shape has that name.
    pub fn bits(&self, name: &str) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        let tensor = self.tensors.tensor(name);
        let bytes = tensor.expect("each tensor of the shape was found").data();
        let (words, rest) = bytes.as_chunks::<4>();
        assert!(rest.is_empty(), "a tensor of 32-bit floats ends with one");
        words.iter().map(|word| u32::from_le_bytes(*word))
    }
}

/// What a file of this shape needs to be parsed: a header within its bounds, and no more bytes than it may have.
fn check_length(tensors: u64, file: &[u8]) -> Result<(), FileError> {
    let found = file.len() as u64;
    let max = LENGTH_BYTES + Weights::MAX_HEADER_BYTES + tensors;
    if found > max {
        return Err(FileError::TooLong { found, max });
    }
    let header = header_bytes(file);
    if header > Weights::MAX_HEADER_BYTES {
        return Err(FileError::HeaderTooLong { found: header });
    }
    let needed = LENGTH_BYTES + header;
    if found < needed {
        return Err(FileError::Truncated { found, needed });
    }
    Ok(())
}

/// How long the file says that its header is; 0 when it is too short to say so.
fn header_bytes(file: &[u8]) -> u64 {
    file.first_chunk().map_or(0, |length| u64::from_le_bytes(*length))
}

/// What `error` says, and whether it is that the tensors go on behind the end of the file.
fn unreadable(error: &SafeTensorError, tensors: u64, file: &[u8]) -> FileError {
    let (found, needed) = (file.len() as u64, LENGTH_BYTES + header_bytes(file) + tensors);
    // Tensors that do not end where the file does are of another shape, or the file ends too early.
    if matches!(error, SafeTensorError::MetadataIncompleteBuffer) && found < needed {
        return FileError::Truncated { found, needed };
    }
    FileError::Header {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;
    use crate::random::{self, Spread};

    fn shape() -> Shape {
        Shape::new(1, 1, 4, 3, 8).unwrap()
    }

    fn file() -> Vec<u8> {
        random::model(&shape(), 1, Spread::Even)
    }

    /// The error of a file in which `change` was made to the list of tensors: name, type, dimensions, bytes.
    fn error(change: impl FnOnce(&mut Vec<(String, Dtype, Vec<usize>, Vec<u8>)>)) -> FileError {
        let file = file();
        let found = SafeTensors::deserialize(&file).unwrap();
        let mut tensors: Vec<_> = found
            .iter()
            .map(|(name, tensor)| {
                (
                    name.to_owned(),
                    tensor.dtype(),
                    tensor.shape().to_vec(),
                    tensor.data().to_vec(),
                )
            })
            .collect();
        tensors.sort();
        change(&mut tensors);
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, data)| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
        let changed = safetensors::serialize(views, None).unwrap();
        Weights::read(shape(), &changed).unwrap_err()
    }

    fn bias() -> String {
        "predictor.bias".to_owned()
    }

    #[test]
    fn a_file_of_the_shape_is_read() {
        let file = file();
        let weights = Weights::read(shape(), &file).unwrap();
        let entries: usize = shape()
            .tensors()
            .iter()
            .map(|tensor| weights.bits(&tensor.name).len())
            .sum();
        let bits = weights.bits("predictor.bias").last();
        assert_eq!(
            entries * 4 + 8 + usize::try_from(header_bytes(&file)).unwrap(),
            file.len()
        );
        assert_eq!(weights.shape(), &shape());
        assert!(bits.is_some());
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let error = error(|tensors| tensors.retain(|(name, ..)| *name != bias()));
        assert_eq!(error, FileError::Missing { name: bias() });
    }

    #[test]
    fn an_unknown_tensor_is_named() {
        let name = "predictor.scale".to_owned();
        let extra = (name.clone(), Dtype::F32, vec![1], vec![0; 4]);
        assert_eq!(error(|tensors| tensors.push(extra)), FileError::Unknown { name });
    }

    #[test]
    fn a_renamed_tensor_is_missed_under_its_own_name() {
        let error = error(|tensors| tensors.last_mut().unwrap().0 += "s");
        let FileError::Missing { name } = error else {
            panic!("{error}")
        };
        assert_eq!(name, "predictor.weight");
    }

    #[test]
    fn a_misshapen_tensor_is_named_with_both_its_dimensions() {
        let error = error(|tensors| {
            let tensor = tensors.iter_mut().find(|(name, ..)| *name == bias()).unwrap();
            tensor.2 = vec![2, 132];
        });
        let expected = FileError::Dimensions {
            name: bias(),
            found: vec![2, 132],
            expected: vec![264],
        };
        assert_eq!(error, expected);
    }

    #[test]
    fn a_tensor_of_another_type_is_named() {
        let error = error(|tensors| {
            let tensor = tensors.iter_mut().find(|(name, ..)| *name == bias()).unwrap();
            (tensor.1, tensor.3) = (Dtype::BF16, vec![0; 2 * 264]);
        });
        let expected = FileError::Type {
            name: bias(),
            found: "BF16".to_owned(),
        };
        assert_eq!(error, expected);
    }

    #[test]
    fn a_file_that_ends_anywhere_is_truncated() {
        let file = file();
        for length in 0..file.len() {
            let error = Weights::read(shape(), &file[..length]).unwrap_err();
            let truncated = matches!(error, FileError::Truncated { found, needed } if found == length as u64 && needed > found);
            assert!(truncated, "{length}: {error}");
        }
    }

    #[test]
    fn a_file_that_goes_on_is_refused() {
        let mut file = file();
        file.push(0);
        let error = Weights::read(shape(), &file).unwrap_err();
        assert!(matches!(error, FileError::Header { .. }), "{error}");
        file.resize(file.len() + (1 << 20), 0);
        let error = Weights::read(shape(), &file).unwrap_err();
        assert!(matches!(error, FileError::TooLong { .. }), "{error}");
    }

    #[test]
    fn a_header_beyond_its_bound_is_refused_before_it_is_parsed() {
        for length in [(1 << 20) + 1, u64::MAX] {
            let mut file = file();
            file[..8].copy_from_slice(&length.to_le_bytes());
            let error = Weights::read(shape(), &file).unwrap_err();
            assert!(matches!(error, FileError::HeaderTooLong { .. }), "{error}");
        }
    }

    #[test]
    fn no_changed_byte_of_the_header_is_a_panic() {
        let file = file();
        let header = 8 + usize::try_from(header_bytes(&file)).unwrap();
        for at in 0..header {
            for change in [1, 0x10, 0x80] {
                let mut changed = file.clone();
                changed[at] ^= change;
                if let Ok(weights) = Weights::read(shape(), &changed) {
                    assert_eq!(weights.bits("predictor.bias").len(), 264);
                }
            }
        }
    }
}
