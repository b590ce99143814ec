//! LEB128 integers and a reader that never runs past its end.

/// Appends `value`, seven bits a byte, low bits first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// The difference `to - from`, small for both signs.
pub(super) fn zigzag(from: u64, to: u64) -> u64 {
    let difference = to.wrapping_sub(from).cast_signed();
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

/// The `to` of [`zigzag`].
pub(super) fn unzigzag(from: u64, coded: u64) -> u64 {
    let difference = (coded >> 1) ^ (coded & 1).wrapping_neg();
    from.wrapping_add(difference)
}

/// Reads from the front of a slice. `None` is "the bytes end here" or "not a number".
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A varint that counts bytes or things in memory.
    pub(super) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_varint_of_more_than_64_bits_is_refused() {
        let mut bytes = [0xff; 10];
        bytes[9] = 1;
        assert_eq!(Cursor(&bytes).varint(), Some(u64::MAX));
        bytes[9] = 2;
        assert_eq!(Cursor(&bytes).varint(), None);
        assert_eq!(Cursor(&[0xff; 11]).varint(), None);
        assert_eq!(Cursor(&[0x80]).varint(), None);
    }

    proptest! {
        #[test]
        fn numbers_come_back(from: u64, to: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, to);
            prop_assert_eq!(Cursor(&out).varint(), Some(to));
            prop_assert_eq!(unzigzag(from, zigzag(from, to)), to);
            prop_assert!(zigzag(from, from.wrapping_sub(1)) <= 2);
        }
    }
}
