//! Protobuf's wire form in few words: what stands in for a client's library.

#[derive(Clone, Debug, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

pub(crate) fn message() -> Message {
    Message::default()
}

pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

impl Message {
    fn tag(mut self, field: u32, wire: u32) -> Message {
        varint(u64::from(field << 3 | wire), &mut self.0);
        self
    }

    pub(crate) fn int(self, field: u32, value: u64) -> Message {
        let mut this = self.tag(field, 0);
        varint(value, &mut this.0);
        this
    }

    pub(crate) fn signed(self, field: u32, value: i64) -> Message {
        self.int(field, zigzag(value))
    }

    pub(crate) fn double(self, field: u32, value: f64) -> Message {
        let mut this = self.tag(field, 1);
        this.0.extend(value.to_le_bytes());
        this
    }

    pub(crate) fn bytes(self, field: u32, bytes: &[u8]) -> Message {
        let mut this = self.tag(field, 2);
        varint(bytes.len() as u64, &mut this.0);
        this.0.extend(bytes);
        this
    }

    pub(crate) fn text(self, field: u32, text: &str) -> Message {
        self.bytes(field, text.as_bytes())
    }

    pub(crate) fn inner(self, field: u32, inner: &Message) -> Message {
        self.bytes(field, &inner.0)
    }

    pub(crate) fn packed_signed(self, field: u32, values: &[i64]) -> Message {
        let mut bytes = vec![];
        values.iter().for_each(|v| varint(zigzag(*v), &mut bytes));
        self.bytes(field, &bytes)
    }

    pub(crate) fn packed_doubles(self, field: u32, values: &[f64]) -> Message {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.bytes(field, &bytes)
    }

    pub(crate) fn label(self, name: &str, value: &str) -> Message {
        self.inner(1, &message().text(1, name).text(2, value))
    }

    pub(crate) fn span(self, field: u32, offset: i64, length: u64) -> Message {
        self.inner(field, &message().signed(1, offset).int(2, length))
    }

    pub(crate) fn time(self, field: u32, seconds: u64, nanos: u64) -> Message {
        self.inner(field, &message().int(1, seconds).int(2, nanos))
    }
}

/// Each behind its length.
pub(crate) fn body(families: &[Message]) -> Vec<u8> {
    let mut out = vec![];
    for family in families {
        varint(family.0.len() as u64, &mut out);
        out.extend(&family.0);
    }
    out
}
