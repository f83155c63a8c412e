//! State as bytes: how each kind of value is written and read back. Each struct has one list of its
//! fields for both ways, and a field that is missing there does not compile.
//!
//! Reading is total: any bytes give a value or an error, and no more memory is asked for than a
//! constant times the bytes that are left.

mod body;
pub(crate) mod model;
pub(crate) mod outcome;
mod settings;

use crate::maps::Map;
use sidecar_model::Bound;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes that are no state or record of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not written by a store: {0}")]
pub struct Corrupt(pub(crate) &'static str);

pub(crate) trait Stored: Sized {
    fn put(&self, out: &mut Writer<'_>);
    fn take(from: &mut Reader<'_>) -> Result<Self, Corrupt>;
}

/// Both ways for a struct, by the list of all of its fields.
macro_rules! stored {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::stored::Stored for $type {
            fn put(&self, out: &mut $crate::stored::Writer<'_>) {
                let $type { $($field),* } = self;
                $($field.put(out);)*
            }

            fn take(
                from: &mut $crate::stored::Reader<'_>,
            ) -> Result<Self, $crate::stored::Corrupt> {
                $(let $field = $crate::stored::Stored::take(from)?;)*
                Ok($type { $($field),* })
            }
        }
    };
}

/// Both ways for an enum without data, by the list of all of its variants.
macro_rules! stored_choice {
    ($type:ident { $($variant:ident = $code:literal),* $(,)? }) => {
        impl $crate::stored::Stored for $type {
            fn put(&self, out: &mut $crate::stored::Writer<'_>) {
                out.byte(match self { $($type::$variant => $code),* });
            }

            fn take(
                from: &mut $crate::stored::Reader<'_>,
            ) -> Result<Self, $crate::stored::Corrupt> {
                match from.byte()? {
                    $($code => Ok($type::$variant),)*
                    _ => Err($crate::stored::Corrupt(concat!("a ", stringify!($type)))),
                }
            }
        }
    };
}

pub(crate) use {stored, stored_choice};

/// What is handed on at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Takes pieces of bytes.
type Sink<'s> = &'s mut dyn FnMut(&[u8]);

pub(crate) struct Writer<'s> {
    bytes: Vec<u8>,
    /// Where full pieces go; without it all is kept.
    sink: Option<Sink<'s>>,
    /// Bounds that were written before, by their address: they are shared by many.
    shared: Map<usize, u32>,
    /// The same by what they are, since two may be equal.
    by_text: Map<Vec<u8>, u32>,
}

impl Writer<'static> {
    pub(crate) fn new() -> Writer<'static> {
        Writer {
            bytes: Vec::with_capacity(512),
            sink: None,
            shared: Map::default(),
            by_text: Map::default(),
        }
    }
}

impl<'s> Writer<'s> {
    pub(crate) fn into(sink: Sink<'s>) -> Writer<'s> {
        let bytes = Vec::with_capacity(2 * PIECE_BYTES);
        Writer { bytes, sink: Some(sink), shared: Map::default(), by_text: Map::default() }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Between two values: hands on what is a whole piece.
    pub(crate) fn spill(&mut self) {
        if self.bytes.len() >= PIECE_BYTES {
            self.finish();
        }
    }

    /// Hands on the rest.
    pub(crate) fn finish(&mut self) {
        if let Some(sink) = &mut self.sink {
            sink(&self.bytes);
            self.bytes.clear();
        }
    }

    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Seven bits to a byte, the lowest first.
    #[inline]
    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(low_byte(number) | 0x80);
            number >>= 7;
        }
        self.byte(low_byte(number));
    }

    /// A length or an index.
    pub(crate) fn length(&mut self, length: usize) {
        self.number(length as u64);
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.number(zigzag(number));
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.raw(bytes);
    }

    #[inline]
    pub(crate) fn float(&mut self, value: f64) {
        self.raw(&value.to_bits().to_le_bytes());
    }

    pub(crate) fn floats(&mut self, values: &[f64]) {
        self.length(values.len());
        for values in values.chunks(PIECE_BYTES / 8) {
            values.iter().for_each(|value| self.float(*value));
            self.spill();
        }
    }

    /// Numbers that are near to each other in order.
    pub(crate) fn column(&mut self, numbers: impl ExactSizeIterator<Item = u64>) {
        self.length(numbers.len());
        let mut last = 0_u64;
        for (nth, number) in numbers.enumerate() {
            self.signed(number.wrapping_sub(last).cast_signed());
            last = number;
            if nth % PIECE_BYTES == 0 {
                self.spill();
            }
        }
    }

    /// Bounds, in full when they are met for the first time.
    pub(crate) fn bounds(&mut self, bounds: &Arc<[Bound]>) {
        let address = Arc::as_ptr(bounds).cast::<Bound>().addr();
        if bounds.is_empty() {
            self.byte(1);
            return;
        }
        if let Some(known) = self.shared.get(&address) {
            self.number(u64::from(*known) + 2);
            return;
        }
        let mut text = Writer::new();
        text.length(bounds.len());
        for Bound { value, text: spelling } in bounds.iter() {
            text.float(*value);
            text.text(spelling.as_bytes());
        }
        let next = u32::try_from(self.by_text.len()).unwrap_or(u32::MAX);
        let known = *self.by_text.entry(text.bytes.clone()).or_insert(next);
        self.shared.insert(address, known);
        if known == next {
            self.byte(0);
            self.raw(&text.bytes);
        } else {
            self.number(u64::from(known) + 2);
        }
    }

    /// Entries in the order of their keys.
    pub(crate) fn sorted<'m, K: Ord + Stored + 'm, V: Stored + 'm>(
        &mut self,
        entries: impl Iterator<Item = (&'m K, &'m V)>,
    ) {
        let mut entries: Vec<(&K, &V)> = entries.collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(b.0));
        self.length(entries.len());
        for (key, value) in entries {
            key.put(self);
            value.put(self);
            self.spill();
        }
    }
}

#[inline]
fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

pub(crate) const fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

pub(crate) const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Bounds that were read before.
    bounds: Vec<Arc<[Bound]>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, bounds: Vec::new() }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything must have been read.
    pub(crate) fn end(&self) -> Result<(), Corrupt> {
        if self.is_at_end() { Ok(()) } else { Err(Corrupt("there is more than there should be")) }
    }

    pub(crate) fn raw(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (raw, rest) = self.rest.split_at_checked(len).ok_or(Corrupt("it ends too early"))?;
        self.rest = rest;
        Ok(raw)
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Corrupt> {
        let (byte, rest) = self.rest.split_first().ok_or(Corrupt("it ends too early"))?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    pub(crate) fn number(&mut self) -> Result<u64, Corrupt> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Corrupt("a number of more than 64 bits"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Corrupt> {
        self.number().map(unzigzag)
    }

    /// How many things follow, none of which is shorter than `bytes`.
    pub(crate) fn count(&mut self, bytes: usize) -> Result<usize, Corrupt> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > self.rest.len() / bytes {
            Err(Corrupt("a count beyond the end"))
        } else {
            Ok(count)
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'a [u8], Corrupt> {
        let len = self.count(1)?;
        self.raw(len)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, Corrupt> {
        std::str::from_utf8(self.text()?).map_err(|_| Corrupt("a text that is not UTF-8"))
    }

    #[inline]
    pub(crate) fn float(&mut self) -> Result<f64, Corrupt> {
        let (bits, rest) = self.rest.split_first_chunk().ok_or(Corrupt("it ends too early"))?;
        self.rest = rest;
        Ok(f64::from_bits(u64::from_le_bytes(*bits)))
    }

    pub(crate) fn floats(&mut self) -> Result<Vec<f64>, Corrupt> {
        let count = self.count(8)?;
        let raw = self.raw(count * 8)?;
        let (values, _) = raw.as_chunks();
        Ok(values.iter().map(|bits| f64::from_bits(u64::from_le_bytes(*bits))).collect())
    }

    pub(crate) fn column<T: TryFrom<u64>>(&mut self) -> Result<Vec<T>, Corrupt> {
        let count = self.count(1)?;
        let mut last = 0_u64;
        let mut column = Vec::with_capacity(count);
        for _ in 0..count {
            last = last.wrapping_add(self.signed()?.cast_unsigned());
            column.push(T::try_from(last).map_err(|_| Corrupt("a number out of its range"))?);
        }
        Ok(column)
    }

    pub(crate) fn bounds(&mut self) -> Result<Arc<[Bound]>, Corrupt> {
        let known = match self.number()? {
            0 => return self.new_bounds(),
            1 => return Ok(Arc::from([])),
            known => usize::try_from(known - 2).unwrap_or(usize::MAX),
        };
        self.bounds.get(known).cloned().ok_or(Corrupt("bounds that were not there before"))
    }

    fn new_bounds(&mut self) -> Result<Arc<[Bound]>, Corrupt> {
        let count = self.count(9)?;
        let mut bounds: Vec<Bound> = Vec::with_capacity(count);
        for _ in 0..count {
            let value = self.float()?;
            let rises = bounds.last().is_none_or(|last| last.value.total_cmp(&value).is_lt());
            if value.is_nan() || !rises {
                return Err(Corrupt("bounds that do not rise"));
            }
            bounds.push(Bound { value, text: self.str()?.into() });
        }
        let bounds: Arc<[Bound]> = bounds.into();
        self.bounds.push(Arc::clone(&bounds));
        Ok(bounds)
    }

    /// Entries whose keys rise.
    pub(crate) fn sorted<K: Ord + Stored, V: Stored>(&mut self) -> Result<Vec<(K, V)>, Corrupt> {
        let entries: Vec<(K, V)> = Vec::take(self)?;
        if entries.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            Ok(entries)
        } else {
            Err(Corrupt("keys out of order"))
        }
    }
}

macro_rules! stored_number {
    ($($type:ty),*) => {$(
        impl Stored for $type {
            #[inline]
            fn put(&self, out: &mut Writer<'_>) {
                out.number(*self as u64);
            }

            #[inline]
            fn take(from: &mut Reader<'_>) -> Result<Self, Corrupt> {
                <$type>::try_from(from.number()?).map_err(|_| Corrupt("a number out of its range"))
            }
        }
    )*};
}

#[expect(clippy::cast_lossless, reason = "one of the numbers has no lossless way")]
mod numbers {
    use super::{Corrupt, Reader, Stored, Writer};
    stored_number!(u8, u16, u32, u64, usize);
}

impl Stored for i32 {
    fn put(&self, out: &mut Writer<'_>) {
        out.signed(i64::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<i32, Corrupt> {
        i32::try_from(from.signed()?).map_err(|_| Corrupt("a number out of its range"))
    }
}

impl Stored for bool {
    fn put(&self, out: &mut Writer<'_>) {
        out.byte(u8::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<bool, Corrupt> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Corrupt("neither yes nor no")),
        }
    }
}

impl Stored for f64 {
    fn put(&self, out: &mut Writer<'_>) {
        out.float(*self);
    }

    fn take(from: &mut Reader<'_>) -> Result<f64, Corrupt> {
        from.float()
    }
}

impl Stored for Box<str> {
    fn put(&self, out: &mut Writer<'_>) {
        out.text(self.as_bytes());
    }

    fn take(from: &mut Reader<'_>) -> Result<Box<str>, Corrupt> {
        from.str().map(Box::from)
    }
}

impl Stored for String {
    fn put(&self, out: &mut Writer<'_>) {
        out.text(self.as_bytes());
    }

    fn take(from: &mut Reader<'_>) -> Result<String, Corrupt> {
        from.str().map(String::from)
    }
}

impl Stored for Arc<str> {
    fn put(&self, out: &mut Writer<'_>) {
        out.text(self.as_bytes());
    }

    fn take(from: &mut Reader<'_>) -> Result<Arc<str>, Corrupt> {
        from.str().map(Arc::from)
    }
}

impl<T: Stored> Stored for Option<T> {
    fn put(&self, out: &mut Writer<'_>) {
        match self {
            None => out.byte(0),
            Some(value) => {
                out.byte(1);
                value.put(out);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Option<T>, Corrupt> {
        Ok(if bool::take(from)? { Some(T::take(from)?) } else { None })
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn put(&self, out: &mut Writer<'_>) {
        out.length(self.len());
        for value in self {
            value.put(out);
            out.spill();
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Vec<T>, Corrupt> {
        let count = from.count(1)?;
        (0..count).map(|_| T::take(from)).collect()
    }
}

impl<T: Stored> Stored for VecDeque<T> {
    fn put(&self, out: &mut Writer<'_>) {
        out.length(self.len());
        self.iter().for_each(|value| value.put(out));
    }

    fn take(from: &mut Reader<'_>) -> Result<VecDeque<T>, Corrupt> {
        Vec::take(from).map(VecDeque::from)
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn put(&self, out: &mut Writer<'_>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<(A, B), Corrupt> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, Writer, unzigzag, zigzag};

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 127, 128, 1 << 32, u64::MAX] {
            let mut out = Writer::new();
            out.number(number);
            assert_eq!(Reader::new(out.as_bytes()).number(), Ok(number));
        }
        for number in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
    }

    #[test]
    fn a_count_beyond_the_end_asks_for_no_memory() {
        let mut out = Writer::new();
        out.number(u64::MAX);
        assert!(Reader::new(out.as_bytes()).floats().is_err());
    }
}
