//! Protobuf's wire form: varints, tags, and the fields of a message, borrowed. Knows no message.

use super::error::{Read, Reason};

/// Low bits of a varint's byte.
const BITS: u32 = 7;
/// A byte with this bit is followed by another.
const MORE: u8 = 0x80;

/// Reads a varint from the front of `bytes`.
#[inline(always)]
pub(super) fn varint(bytes: &mut &[u8]) -> Read<u64> {
    match bytes.split_first() {
        Some((first, rest)) if *first < MORE => {
            *bytes = rest;
            Ok(u64::from(*first))
        }
        Some(_) | None => long_varint(bytes),
    }
}

fn long_varint(bytes: &mut &[u8]) -> Read<u64> {
    let mut value = 0_u64;
    for shift in (0..u64::BITS).step_by(BITS as usize) {
        let (first, rest) = bytes.split_first().ok_or(Reason::Truncated)?;
        let low = u64::from(first & !MORE);
        let part = low << shift;
        if part >> shift != low {
            return Err(Reason::LongVarint);
        }
        value |= part;
        *bytes = rest;
        if *first < MORE {
            return Ok(value);
        }
    }
    Err(Reason::LongVarint)
}

/// Reads a length and as many bytes from the front of `bytes`.
#[inline(always)]
pub(super) fn delimited<'a>(bytes: &mut &'a [u8]) -> Read<&'a [u8]> {
    let len = varint(bytes)?;
    let len = usize::try_from(len).map_err(|_| Reason::Truncated)?;
    let (found, rest) = bytes.split_at_checked(len).ok_or(Reason::Truncated)?;
    *bytes = rest;
    Ok(found)
}

/// `0` for 0, `1` for -1, `2` for 1.
#[inline]
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl<'a> Value<'a> {
    #[inline]
    pub(super) fn varint(self) -> Read<u64> {
        match self {
            Value::Varint(value) => Ok(value),
            Value::Fixed64(_) | Value::Bytes(_) | Value::Fixed32(_) => Err(Reason::WrongWireType),
        }
    }

    #[inline]
    pub(super) fn double(self) -> Read<f64> {
        match self {
            Value::Fixed64(bytes) => Ok(f64::from_le_bytes(bytes)),
            Value::Varint(_) | Value::Bytes(_) | Value::Fixed32(_) => Err(Reason::WrongWireType),
        }
    }

    #[inline]
    pub(super) fn bytes(self) -> Read<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32(_) => Err(Reason::WrongWireType),
        }
    }

    #[inline]
    pub(super) fn text(self) -> Read<&'a str> {
        text(self.bytes()?)
    }

    /// A field of type `sint32`, of which a longer number is cut to its low half.
    pub(super) fn sint32(self) -> Read<i32> {
        #[expect(clippy::cast_possible_truncation, reason = "so the wire form says")]
        let low = self.varint()? as u32;
        Ok((low >> 1).cast_signed() ^ -(low & 1).cast_signed())
    }
}

#[inline]
pub(super) fn text(bytes: &[u8]) -> Read<&str> {
    std::str::from_utf8(bytes).map_err(|_| Reason::NotUtf8)
}

/// The fields of a message from here on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    /// The next field's number and what it holds; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Read<Option<(u32, Value<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = u32::try_from(varint(&mut self.rest)?).map_err(|_| Reason::BadTag)?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(self.fixed()?),
            2 => Value::Bytes(delimited(&mut self.rest)?),
            5 => Value::Fixed32(self.fixed()?),
            _ => return Err(Reason::BadTag),
        };
        match tag >> 3 {
            0 => Err(Reason::BadTag),
            number => Ok(Some((number, value))),
        }
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(Reason::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, Value, unzigzag, varint};
    use crate::protobuf::error::Reason;

    fn read(mut bytes: &[u8]) -> Result<u64, Reason> {
        varint(&mut bytes)
    }

    #[test]
    fn varints_of_every_length_are_read_and_longer_ones_refused() {
        assert_eq!(read(&[0x7f]), Ok(127));
        assert_eq!(read(&[0xac, 0x02]), Ok(300));
        assert_eq!(read(&[0x80, 0x00]), Ok(0));
        assert_eq!(read(&[0xff; 9].iter().copied().chain([1]).collect::<Vec<_>>()), Ok(u64::MAX));
        assert_eq!(
            read(&[0xff; 9].iter().copied().chain([2]).collect::<Vec<_>>()),
            Err(Reason::LongVarint)
        );
        assert_eq!(read(&[0x80; 11]), Err(Reason::LongVarint));
        assert_eq!(read(&[0x80; 3]), Err(Reason::Truncated));
        assert_eq!(read(&[]), Err(Reason::Truncated));
    }

    #[test]
    fn signed_numbers_alternate() {
        for (wire, number) in [(0, 0), (1, -1), (2, 1), (3, -2), (u64::MAX, i64::MIN)] {
            assert_eq!(unzigzag(wire), number);
        }
        assert_eq!(Value::Varint(3).sint32(), Ok(-2));
    }

    #[test]
    fn fields_of_no_kind_are_refused() {
        for (bytes, reason) in [
            (&[0x0b_u8][..], Reason::BadTag),
            (&[0x02, 0x00], Reason::BadTag),
            (&[0x0a, 0x02, 0x01], Reason::Truncated),
            (&[0x09, 0, 0, 0, 0, 0, 0, 0], Reason::Truncated),
            (&[0x0d, 0, 0, 0], Reason::Truncated),
            (&[0x80, 0x80, 0x80, 0x80, 0x10], Reason::BadTag),
        ] {
            assert_eq!(Fields::of(bytes).next(), Err(reason), "{bytes:?}");
        }
    }
}
