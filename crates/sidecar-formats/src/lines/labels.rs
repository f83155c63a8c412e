//! A list of labels in braces, which may hold the metric's name too.

use super::{Fault, Grammar, Lines, Read, Reason};
use crate::quoted;
use crate::seen_names::SeenNames;
use sidecar_model::{Problem, SampleParts};
use std::borrow::Cow;

/// Up to this many labels, looking for a repeated name compares each with each.
const FEW_LABELS: usize = 32;

type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

impl<'a, G: Grammar> Lines<'a, G> {
    /// Behind the brace: reads the labels into `parts`, and the name where it stands among them;
    /// goes behind the closing brace. Behind more than `most` labels it stops.
    #[inline]
    pub(crate) fn labels(&mut self, parts: &mut SampleParts<'a>, most: usize) -> Read<()> {
        let start = self.at;
        let (mut seen, mut alike) = (SeenNames::default(), false);
        self.optional_blanks();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            // Two branches that end apart: what the usual one pushes never goes through memory first.
            if let Some((name, value)) = self.plain_label() {
                alike |= seen.may_have(name);
                parts.labels.push((Cow::Borrowed(name), Cow::Borrowed(value)));
            } else if let Some((name, value)) = self.label_or_name(parts)? {
                alike |= seen.may_have(&name);
                parts.labels.push((name, value));
            }
            if parts.labels.len() > most {
                return Fault::at(Reason::Sink(Problem::TOO_MANY_LABELS), start);
            }
            self.optional_blanks();
            if self.eat(b'}') {
                break;
            }
            if !self.eat(b',') {
                return self.fault(Reason::BadLabels("expected , or } behind a label"));
            }
            self.optional_blanks();
            if G::LENIENT && self.eat(b'}') {
                break;
            }
        }
        if alike && let Some(name) = repeated(&parts.labels) {
            let fault: Read<()> = Fault::at(Reason::DuplicateLabel, start);
            return fault.map_err(|fault| fault.with_label(&name));
        }
        Ok(())
    }

    #[inline(always)]
    fn optional_blanks(&mut self) {
        if G::LENIENT {
            self.skip_blanks();
        }
    }

    /// The label that stands here, if it is written in the usual way; else stays here.
    #[inline(always)]
    fn plain_label(&mut self) -> Option<(&'a str, &'a str)> {
        let start = self.at;
        let name = self.label_name().ok()?;
        if !name.is_empty() && self.eat(b'=') && self.peek() == Some(b'"') {
            let first = self.at + 1;
            let end = quoted::end_on_line(self.body, first);
            if self.body.get(end) == Some(&b'"')
                && let Ok(value) = self.text(first, end)
                && name != "__name__"
            {
                self.at = end + 1;
                return Some((name, value));
            }
        }
        self.at = start;
        None
    }

    /// The label that stands here; `None`: it was the metric's name.
    fn label_or_name(&mut self, parts: &mut SampleParts<'a>) -> Read<Option<Label<'a>>> {
        let start = self.at;
        let quoted = self.peek() == Some(b'"');
        let name = if quoted {
            self.quoted(Reason::BadLabelName)?
        } else {
            Cow::Borrowed(self.label_name()?)
        };
        if name.is_empty() && !quoted {
            return self.fault(Reason::BadLabelName);
        }
        self.optional_blanks();
        if !self.eat(b'=') {
            if !quoted {
                return self.fault(Reason::BadLabels("expected = behind a label name"));
            }
            if parts.name.is_some() {
                return Fault::at(Reason::SecondName, start);
            }
            parts.name = Some(name);
            return Ok(None);
        }
        if name == "__name__" {
            return Fault::at(Reason::ReservedLabel, start);
        }
        self.optional_blanks();
        if self.peek() != Some(b'"') {
            return self.fault(Reason::BadLabels("expected a label value in quotes"));
        }
        match self.quoted(Reason::BadLabelValue) {
            Ok(value) => Ok(Some((name, value))),
            Err(fault) => Err(fault.with_label(&name)),
        }
    }
}

/// A name that comes twice.
#[inline(never)]
fn repeated(labels: &[Label<'_>]) -> Option<String> {
    let mut rest = labels;
    if rest.len() > FEW_LABELS {
        let mut names: Vec<&str> = labels.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        let next = names.iter().skip(1);
        return names.iter().zip(next).find(|(a, b)| a == b).map(|(name, _)| (*name).to_owned());
    }
    while let Some(((name, _), behind)) = rest.split_first() {
        if behind.iter().any(|(other, _)| other == name) {
            return Some(name.clone().into_owned());
        }
        rest = behind;
    }
    None
}
