//! Protobuf's wire form, written. Knows no message.

/// Appends a varint.
#[inline]
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// How many bytes the varint of a length takes.
#[inline]
pub(super) const fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[inline]
pub(super) fn len(len: usize, out: &mut Vec<u8>) {
    varint(len as u64, out);
}

fn tag(field: u32, wire: u32, out: &mut Vec<u8>) {
    varint(u64::from(field << 3 | wire), out);
}

pub(super) fn int(field: u32, value: u64, out: &mut Vec<u8>) {
    tag(field, 0, out);
    varint(value, out);
}

pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

pub(super) fn double(field: u32, value: f64, out: &mut Vec<u8>) {
    tag(field, 1, out);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    tag(field, 2, out);
    len(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Appends a message that `write` writes, behind its length.
pub(super) fn nested(field: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    tag(field, 2, out);
    let start = out.len();
    write(out);
    let end = out.len();
    len(end - start, out);
    let width = out.len() - end;
    if let Some(message) = out.get_mut(start..) {
        message.rotate_right(width);
    }
}
