//! Up to 4,096 kept events in columns, each value told by how it follows from what came before.
//!
//! A *shape* says where an event's values come from: from its cause, from the last event of its kind at its node, or
//! from a column. A block has few shapes, so most events are a byte of shape and a few bytes of time and distance.
//! A block is decoded alone.

use std::collections::BTreeMap;

use super::bytes::{Cursor, put_varint, unzigzag, zigzag};
use super::header::BlockAt;
use super::model::{Model, Modes, Shape, choose};
use super::{Chain, Entry, Kind, Name, Record};

/// The most events in a block.
pub(super) const BLOCK: usize = 4096;

/// No sequence number in a file reaches this, so that sums with one cannot overflow.
const SEQ_END: u64 = 1 << 62;

/// Columns of a block, in the order of the file.
#[derive(Clone, Copy)]
enum Column {
    Shapes,
    Shape,
    Seq,
    Time,
    Node,
    Incarnation,
    Cause,
    A,
    B,
    Digest,
    Payload,
}

const COLUMNS: usize = 11;

/// Kept events, in order, with the payloads of some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub entries: Vec<Entry>,
    /// By sequence number.
    pub payloads: BTreeMap<u64, Vec<u8>>,
    /// The run's chain before the first event.
    pub chain_in: Chain,
    /// The run's chain after the last event.
    pub chain_out: Chain,
}

impl Block {
    /// Whether it has every event from its first to its last, so that its chain can be checked.
    pub(super) fn is_contiguous(&self) -> bool {
        let ends = self.entries.first().zip(self.entries.last());
        ends.is_some_and(|(first, last)| last.seq - first.seq == self.entries.len() as u64 - 1)
    }

    /// Its bytes in a file. It must have between 1 and [`BLOCK`] events, in order.
    pub(super) fn encode(&self) -> Vec<u8> {
        let first = self.entries.first().expect("a block that is written has events");
        let count = u16::try_from(self.entries.len()).expect("a block has at most 4,096 events");
        let raw = self.encode_columns(first);
        let packed = lz4_flex::block::compress(&raw);
        let mut out = Vec::with_capacity(packed.len() + 64);
        out.extend_from_slice(&first.seq.to_le_bytes());
        out.extend_from_slice(&first.record.time.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&self.chain_in.0.to_le_bytes());
        out.extend_from_slice(&self.chain_out.0.to_le_bytes());
        put_varint(&mut out, raw.len() as u64);
        out.extend_from_slice(&packed);
        out
    }

    fn encode_columns(&self, first: &Entry) -> Vec<u8> {
        let mut columns: [Vec<u8>; COLUMNS] = Default::default();
        let mut shapes = BTreeMap::new();
        let mut model = Model::new(self.entries.len());
        let unit = self.time_unit();
        put_varint(&mut columns[Column::Time as usize], unit);
        let mut time = first.record.time;
        for entry in &self.entries {
            let step = entry.record.time.wrapping_sub(time) / unit;
            put_varint(&mut columns[Column::Time as usize], step);
            time = entry.record.time;
            let shape = encode_entry(entry, &model, &mut columns);
            let next = shapes.len() as u64;
            let index = *shapes.entry(shape).or_insert_with(|| {
                let column = &mut columns[Column::Shapes as usize];
                column.push(shape.kind);
                put_varint(column, u64::from(shape.name));
                put_varint(column, u64::from(shape.modes));
                next
            });
            put_varint(&mut columns[Column::Shape as usize], index);
            model.push(*entry);
        }
        for (seq, payload) in &self.payloads {
            let column = &mut columns[Column::Payload as usize];
            put_varint(column, seq - first.seq);
            put_varint(column, payload.len() as u64);
            column.extend_from_slice(payload);
        }
        let mut raw = Vec::new();
        for column in columns {
            put_varint(&mut raw, column.len() as u64);
            raw.extend_from_slice(&column);
        }
        raw
    }

    /// The largest step that all times are a multiple of, at least 1.
    fn time_unit(&self) -> u64 {
        let steps = self
            .entries
            .windows(2)
            .map(|pair| pair[1].record.time.wrapping_sub(pair[0].record.time));
        steps.fold(0, greatest_common_divisor).max(1)
    }

    /// The block whose bytes are `bytes`, in a file with `names` names.
    pub(super) fn decode(bytes: &[u8], names: usize) -> Result<Self, &'static str> {
        let mut cursor = Cursor(bytes);
        let head = Head::read(&mut cursor).ok_or("a block's head is cut short")?;
        head.decode(cursor, names)
    }

    /// Where the block whose bytes are `bytes` begins in the run; its offset is for the caller to say.
    pub(super) fn head(bytes: &[u8]) -> Result<BlockAt, &'static str> {
        let head = Head::read(&mut Cursor(bytes)).ok_or("a block's head is cut short")?;
        if head.count == 0 || head.count > BLOCK {
            return Err("a block has no events or more than 4,096");
        }
        if head.seq >= SEQ_END {
            return Err("a block begins after the last event that there can be");
        }
        Ok(BlockAt {
            offset: 0,
            first_seq: head.seq,
            first_time: head.time,
            events: u32::try_from(head.count).expect("a block has at most 4,096 events"),
        })
    }
}

/// The uncompressed part of a block.
struct Head {
    seq: u64,
    time: u64,
    count: usize,
    chain_in: Chain,
    chain_out: Chain,
    raw: usize,
}

impl Head {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            seq: u64::from_le_bytes(cursor.array()?),
            time: u64::from_le_bytes(cursor.array()?),
            count: usize::from(u16::from_le_bytes(cursor.array()?)),
            chain_in: Chain(u128::from_le_bytes(cursor.array()?)),
            chain_out: Chain(u128::from_le_bytes(cursor.array()?)),
            raw: cursor.length()?,
        })
    }

    fn decode(self, packed: Cursor<'_>, names: usize) -> Result<Block, &'static str> {
        if self.count == 0 || self.count > BLOCK {
            return Err("a block has no events or more than 4,096");
        }
        // One byte of lz4 stands for at most 255, so this bounds what a false length can make us allocate.
        if self.raw > packed.0.len().saturating_mul(255).saturating_add(64) {
            return Err("a block claims to be larger than its bytes can hold");
        }
        let raw =
            lz4_flex::block::decompress(packed.0, self.raw).map_err(|_| "a block does not decompress")?;
        let mut rest = Cursor(&raw);
        let mut columns: [Cursor<'_>; COLUMNS] = std::array::from_fn(|_| Cursor(&[]));
        for column in &mut columns {
            let length = rest.length().ok_or("a column has no length")?;
            *column = Cursor(rest.take(length).ok_or("a column is cut short")?);
        }
        let shapes = decode_shapes(&mut columns[Column::Shapes as usize], names)?;
        let entries = self
            .decode_entries(&mut columns, &shapes)
            .ok_or("an event is not whole")?;
        let payloads = self
            .decode_payloads(&mut columns[Column::Payload as usize], &entries)
            .ok_or("a payload is not whole or has no event")?;
        if !rest.is_empty() || columns.iter().any(|column| !column.is_empty()) {
            return Err("a block has bytes left over");
        }
        Ok(Block {
            entries,
            payloads,
            chain_in: self.chain_in,
            chain_out: self.chain_out,
        })
    }

    fn decode_entries(&self, columns: &mut [Cursor<'_>; COLUMNS], shapes: &[Shape]) -> Option<Vec<Entry>> {
        let mut model = Model::new(self.count);
        let unit = columns[Column::Time as usize].varint()?;
        let mut time = self.time;
        for index in 0..self.count {
            let step = columns[Column::Time as usize].varint()?;
            time = time.wrapping_add(step.checked_mul(unit)?);
            let shape = shapes.get(columns[Column::Shape as usize].length()?)?;
            let mut entry = decode_entry(*shape, &model, columns, self.seq)?;
            let is_start = entry.seq == self.seq && step == 0;
            if entry.seq >= SEQ_END || (index == 0 && !is_start) {
                return None;
            }
            entry.record.time = time;
            model.push(entry);
        }
        Some(model.into_entries())
    }

    fn decode_payloads(&self, column: &mut Cursor<'_>, entries: &[Entry]) -> Option<BTreeMap<u64, Vec<u8>>> {
        let mut payloads = BTreeMap::new();
        while !column.is_empty() {
            let seq = self.seq.checked_add(column.varint()?)?;
            let index = entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
            let length = column.length()?;
            let payload = column.take(length)?;
            if entries[index].record.digest != Some(super::digest(payload)) {
                return None;
            }
            payloads.insert(seq, payload.to_vec());
        }
        Some(payloads)
    }
}

fn decode_shapes(column: &mut Cursor<'_>, names: usize) -> Result<Vec<Shape>, &'static str> {
    let mut shapes = Vec::new();
    while !column.is_empty() {
        let mut shape = || {
            Some(Shape {
                kind: column.byte()?,
                name: u16::try_from(column.varint()?).ok()?,
                modes: u16::try_from(column.varint()?).ok()?,
            })
        };
        let shape = shape().ok_or("a shape is cut short")?;
        if usize::from(shape.name) >= names {
            return Err("an event has a name that is not in the table");
        }
        shapes.push(shape);
    }
    Ok(shapes)
}

fn encode_entry(entry: &Entry, model: &Model, columns: &mut [Vec<u8>; COLUMNS]) -> Shape {
    let record = &entry.record;
    let cause = model
        .causing(entry.seq, record.cause)
        .filter(|_| record.cause != 0);
    let cause = cause.as_ref();
    let last = model.last_numbers(record.kind, record.node);
    let modes = Modes {
        seq: choose(model.seq(), &entry.seq),
        cause: choose(model.cause(entry.seq), &record.cause),
        node: choose(model.node(cause), &record.node),
        incarnation: choose(model.incarnation(record.node), &record.incarnation),
        a: choose(model.a(last.0, cause), &record.a),
        b: choose(model.b(last.1, cause), &record.b),
        digest: choose(model.digest(record.node, cause), &record.digest),
    };
    if modes.seq == 1 {
        let previous = model.entries().last().map_or(entry.seq, |last| last.seq);
        put_varint(&mut columns[Column::Seq as usize], entry.seq - previous);
    }
    if modes.cause == 3 {
        put_varint(&mut columns[Column::Cause as usize], u64::from(record.cause));
    }
    if modes.node == 3 {
        put_varint(&mut columns[Column::Node as usize], u64::from(record.node));
    }
    if modes.incarnation == 1 {
        put_varint(
            &mut columns[Column::Incarnation as usize],
            u64::from(record.incarnation),
        );
    }
    if modes.a == 5 {
        put_varint(&mut columns[Column::A as usize], zigzag(last.0, record.a));
    }
    if modes.b == 3 {
        put_varint(&mut columns[Column::B as usize], zigzag(last.1, record.b));
    }
    if let (3, Some(digest)) = (modes.digest, record.digest) {
        columns[Column::Digest as usize].extend_from_slice(&digest.to_le_bytes());
    }
    Shape {
        kind: record.kind as u8,
        name: record.name.number(),
        modes: modes.pack(),
    }
}

/// All of an entry but its time.
fn decode_entry(
    shape: Shape,
    model: &Model,
    columns: &mut [Cursor<'_>; COLUMNS],
    first_seq: u64,
) -> Option<Entry> {
    let modes = Modes::unpack(shape.modes)?;
    let kind = Kind::from_number(shape.kind)?;
    let mut column = |column: Column| columns[column as usize].varint();
    let seq = match modes.seq {
        0 => model.seq()[0]?,
        _ => match (model.entries().last(), column(Column::Seq)?) {
            (None, 0) => first_seq,
            // Two past the last at least, or the sequence number would have been expected.
            (Some(last), gap @ 2..) => last.seq.checked_add(gap)?,
            _ => return None,
        },
    };
    let cause = match modes.cause {
        3 => u32::try_from(column(Column::Cause)?).ok()?,
        mode => model.cause(seq)[usize::from(mode)]?,
    };
    let causing = match cause {
        0 => None,
        distance => model.causing(seq, distance),
    };
    let causing = causing.as_ref();
    let node = match modes.node {
        3 => u16::try_from(column(Column::Node)?).ok()?,
        mode => model.node(causing)[usize::from(mode)]?,
    };
    let incarnation = match modes.incarnation {
        0 => model.incarnation(node)[0]?,
        _ => u16::try_from(column(Column::Incarnation)?).ok()?,
    };
    let last = model.last_numbers(kind, node);
    let a = match modes.a {
        5 => unzigzag(last.0, column(Column::A)?),
        mode => model.a(last.0, causing)[usize::from(mode)]?,
    };
    let b = match modes.b {
        3 => unzigzag(last.1, column(Column::B)?),
        mode => model.b(last.1, causing)[usize::from(mode)]?,
    };
    let digest = match modes.digest {
        3 => Some(u64::from_le_bytes(columns[Column::Digest as usize].array()?)),
        mode => model.digest(node, causing)[usize::from(mode)]?,
    };
    let record = Record {
        a,
        b,
        digest,
        cause,
        incarnation,
        name: Name::from_number(shape.name),
        ..Record::new(0, node, kind)
    };
    Some(Entry { seq, record })
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any records whatever, with gaps, payloads and times that go back.
    fn blocks() -> impl Strategy<Value = Block> {
        let small = || prop_oneof![0..4u64, any::<u64>()];
        let entry = (
            (1..3u64, small(), small(), small(), proptest::option::of(small())),
            (
                0..9u32,
                0..6u16,
                0..3u16,
                0..5u16,
                0..Kind::ALL.len(),
                proptest::option::of(0..40usize),
            ),
        );
        proptest::collection::vec(entry, 1..200).prop_map(|rows| {
            let (mut block, mut seq) = (Block::default(), 1000);
            for ((gap, time, a, b, digest), (cause, node, incarnation, name, kind, payload)) in rows {
                seq += gap;
                let payload = payload.map(|length| vec![7; length]);
                let digest = payload.as_deref().map(crate::trace::digest).or(digest);
                block.payloads.extend(payload.map(|payload| (seq, payload)));
                let kind = Kind::ALL[kind];
                let name = Name::from_number(name);
                let record = Record {
                    a,
                    b,
                    digest,
                    cause,
                    incarnation,
                    name,
                    ..Record::new(time, node, kind)
                };
                block.entries.push(Entry { seq, record });
            }
            block.chain_in = Chain(5);
            block.chain_out = Chain(u128::MAX);
            block
        })
    }

    proptest! {
        #[test]
        fn a_block_comes_back_as_it_was(block in blocks()) {
            prop_assert_eq!(Block::decode(&block.encode(), 5), Ok(block));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Block::decode(&bytes, 5);
        }

        #[test]
        fn a_block_with_wrong_bytes_is_decoded_without_panic(
            block in blocks(),
            flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8), 1..4),
        ) {
            let mut bytes = block.encode();
            for (index, bit) in flips {
                let index = index.index(bytes.len());
                bytes[index] ^= 1u8 << bit;
            }
            if let Ok(block) = Block::decode(&bytes, 5) {
                prop_assert!(block.entries.len() <= BLOCK);
                prop_assert!(block.entries.is_sorted_by(|a, b| a.seq < b.seq));
            }
        }
    }

    /// A block's bytes with its columns changed before they were compressed.
    fn with_columns(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut cursor = Cursor(bytes);
        let head = Head::read(&mut cursor).unwrap();
        let mut raw = lz4_flex::block::decompress(cursor.0, head.raw).unwrap();
        change(&mut raw);
        let mut wrong = bytes[..50].to_vec();
        put_varint(&mut wrong, raw.len() as u64);
        wrong.extend(lz4_flex::block::compress(&raw));
        wrong
    }

    proptest! {
        #[test]
        fn wrong_columns_are_decoded_without_panic(
            block in blocks(),
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let bytes = block.encode();
            prop_assert_eq!(&with_columns(&bytes, |_| ()), &bytes);
            let wrong = with_columns(&bytes, |raw| {
                for (index, byte) in flips {
                    let index = index.index(raw.len());
                    raw[index] = byte;
                }
            });
            if let Ok(block) = Block::decode(&wrong, 5) {
                prop_assert!(block.entries.is_sorted_by(|a, b| a.seq < b.seq));
                prop_assert_eq!(Block::decode(&block.encode(), 5), Ok(block));
            }
        }
    }

    #[test]
    fn a_sequence_number_beyond_all_runs_is_refused() {
        let block = |seq| Block {
            entries: vec![Entry {
                seq,
                record: Record::new(0, 0, Kind::Send),
            }],
            ..Block::default()
        };
        assert!(Block::decode(&block(SEQ_END - 1).encode(), 1).is_ok());
        assert!(Block::decode(&block(u64::MAX).encode(), 1).is_err());
    }

    #[test]
    fn a_false_length_is_refused_before_memory_is_taken() {
        let block = Block {
            entries: vec![Entry {
                seq: 0,
                record: Record::new(0, 0, Kind::Send),
            }],
            ..Block::default()
        };
        let mut bytes = block.encode();
        let length_at = 8 + 8 + 2 + 16 + 16;
        bytes.splice(length_at..=length_at, [0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(
            Block::decode(&bytes, 1),
            Err("a block claims to be larger than its bytes can hold")
        );
    }
}
