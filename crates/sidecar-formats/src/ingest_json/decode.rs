//! Decodes a body into a [`Sink`].
//!
//! Each family is tried in up to three ways: the header is the remembered one; the header's fields
//! all stand before `values`; the whole family is looked over first. Whatever goes wrong in the
//! first two is taken back and the last one decides, so what a body means, and what is wrong with
//! it, does not depend on what the sink remembers.

use super::error::{Fault, Read, Reason};
use super::scan::Scanner;
use crate::error::{DecodeError, line_and_column};
use sidecar_model::{SampleParts, Sink};

/// Gives `sink` what the body says. After an error the sink holds a part of it.
pub fn decode<S: Sink>(body: &[u8], sink: &mut S) -> Result<(), DecodeError> {
    let mut reader = Reader {
        scan: Scanner::pausing(body, sink.pause()),
        sink,
        parts: SampleParts::default(),
        family: None,
        sample: None,
        late_fields: false,
    };
    reader.document().map_err(|fault| reader.explain(&fault))
}

#[derive(Debug)]
pub(super) struct Reader<'a, 's, S> {
    pub(super) scan: Scanner<'a>,
    pub(super) sink: &'s mut S,
    /// Scratch of every sample that is parsed.
    pub(super) parts: SampleParts<'a>,
    /// Where we are, for errors.
    pub(super) family: Option<usize>,
    pub(super) sample: Option<usize>,
    /// A family of this body had fields behind its values: look the following over first.
    pub(super) late_fields: bool,
}

impl<S: Sink> Reader<'_, '_, S> {
    fn document(&mut self) -> Read<()> {
        self.scan.eat_word(b"\xef\xbb\xbf");
        self.scan.skip_blanks();
        if !self.scan.eat(b'[') {
            return self.not_an_array();
        }
        self.families()?;
        self.family = None;
        self.scan.skip_blanks();
        if self.scan.peek().is_some() {
            return self.scan.fault(Reason::Json("something behind the end of the array"));
        }
        Ok(())
    }

    #[cold]
    fn not_an_array(&mut self) -> Read<()> {
        let start = self.scan.at;
        self.scan.skip_value(0)?;
        self.scan.at = start;
        self.scan.fault(Reason::NotAnArray)
    }

    fn families(&mut self) -> Read<()> {
        self.scan.skip_blanks();
        if self.scan.eat(b']') {
            return Ok(());
        }
        for index in 0.. {
            self.family = Some(index);
            self.family()?;
            if !self.scan.more(b']')? {
                break;
            }
        }
        Ok(())
    }

    #[cold]
    fn explain(&self, fault: &Fault) -> DecodeError {
        let mut at = String::new();
        if let Some(family) = self.family {
            at.push_str(&format!("[{family}]"));
            if let Some(sample) = self.sample {
                at.push_str(&format!(".values[{sample}]"));
            }
            if let Some(field) = &fault.field {
                at.push_str(&format!(".{field}"));
            }
        }
        let (line, column) = line_and_column(self.scan.body, fault.offset);
        let reason = fault.reason;
        let message = format!("{reason} (line {line}, column {column})");
        DecodeError { code: reason.code(), at, message }
    }
}
