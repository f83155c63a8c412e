//! A label set: sorted by name, names unique, no empty value but of a grouping key's labels, cheap
//! to clone, hashed and compared as one run of bytes.

use crate::name::{is_plain_label_bytes, plain_label_name};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The most bytes one name or value can have: lengths are kept in 16 bits.
const MAX_PART_BYTES: usize = u16::MAX as usize;

/// Bytes: for each label in name order, length of the name (2 bytes, little endian), name, length
/// of the value, value. A label whose value is empty is no label and is not kept.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LabelSet(Arc<[u8]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelSetError {
    #[error("the same label name twice")]
    DuplicateName,
    #[error("a label name or value of more than 65,535 bytes")]
    TooLong,
    #[error("an empty label name")]
    EmptyName,
}

impl LabelSet {
    pub fn empty() -> LabelSet {
        LabelSet(Arc::from([]))
    }

    /// Sorts `labels` in place and writes the canonical bytes into `scratch`, which is what
    /// [`LabelSet::as_bytes`] of the finished set would be: a caller that only looks a set up
    /// allocates nothing.
    pub fn write_canonical<S: AsRef<str>>(
        labels: &mut [(S, S)],
        scratch: &mut Vec<u8>,
    ) -> Result<(), LabelSetError> {
        Self::write_canonical_with_empty(labels, |_| false, scratch)
    }

    /// The same, but that labels that `kept` names are kept though their value is empty (those of
    /// a grouping key).
    pub fn write_canonical_with_empty<S: AsRef<str>>(
        labels: &mut [(S, S)],
        kept: impl Fn(&str) -> bool,
        scratch: &mut Vec<u8>,
    ) -> Result<(), LabelSetError> {
        labels.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        scratch.clear();
        let mut previous: Option<&str> = None;
        for (name, value) in labels.iter() {
            let (name, value) = (name.as_ref(), value.as_ref());
            if name.is_empty() {
                return Err(LabelSetError::EmptyName);
            }
            if previous == Some(name) {
                return Err(LabelSetError::DuplicateName);
            }
            previous = Some(name);
            if value.is_empty() && !kept(name) {
                continue;
            }
            for part in [name, value] {
                let len = u16::try_from(part.len()).map_err(|_| LabelSetError::TooLong)?;
                scratch.extend_from_slice(&len.to_le_bytes());
                scratch.extend_from_slice(part.as_bytes());
            }
        }
        Ok(())
    }

    /// The canonical bytes of the same set with names that every format can carry: what is equal
    /// here is printed equal by a format without UTF-8 names.
    pub fn plain_canonical(canonical: &[u8]) -> Cow<'_, [u8]> {
        if has_plain_names(canonical) {
            return Cow::Borrowed(canonical);
        }
        let labels = Labels { rest: canonical };
        let mut plain: Vec<(Cow<'_, str>, &str)> =
            labels.map(|(name, value)| (plain_label_name(name), value)).collect();
        plain.sort();
        let mut bytes = Vec::with_capacity(canonical.len());
        for (name, value) in &plain {
            push_part(&mut bytes, name);
            push_part(&mut bytes, value);
        }
        Cow::Owned(bytes)
    }

    /// The set whose canonical bytes [`LabelSet::write_canonical`] wrote.
    pub fn from_canonical(bytes: &[u8]) -> LabelSet {
        LabelSet(Arc::from(bytes))
    }

    pub fn new<S: AsRef<str>>(mut labels: Vec<(S, S)>) -> Result<LabelSet, LabelSetError> {
        let mut bytes = Vec::new();
        Self::write_canonical(&mut labels, &mut bytes)?;
        Ok(LabelSet::from_canonical(&bytes))
    }

    /// Whether the bytes are what [`LabelSet::write_canonical`] writes.
    pub fn is_canonical(mut bytes: &[u8]) -> bool {
        let mut previous: &[u8] = &[];
        while !bytes.is_empty() {
            let Some((name, behind)) = split_part(bytes) else { return false };
            let Some((value, behind)) = split_part(behind) else { return false };
            let is_text = std::str::from_utf8(name).is_ok() && std::str::from_utf8(value).is_ok();
            if name <= previous || !is_text {
                return false;
            }
            (previous, bytes) = (name, behind);
        }
        true
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends bytes that sort as the sets do, so that many sets are compared without a look at
    /// each: every part, ended by two zeros; a zero inside is followed by 0xff.
    pub fn write_order_key(&self, out: &mut Vec<u8>) {
        let mut rest: &[u8] = &self.0;
        while let Some((mut part, behind)) = split_part(rest) {
            while let Some(zero) = part.iter().position(|byte| *byte == 0) {
                let (plain, other) = part.split_at(zero + 1);
                out.extend_from_slice(plain);
                out.push(0xff);
                part = other;
            }
            out.extend_from_slice(part);
            out.extend_from_slice(&[0, 0]);
            rest = behind;
        }
    }

    /// Name and value pairs in name order.
    pub fn iter(&self) -> Labels<'_> {
        Labels { rest: &self.0 }
    }

    /// The same as bytes, which need not be checked to be UTF-8 once more.
    pub fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (name, behind) = split_part(rest)?;
            let (value, behind) = split_part(behind)?;
            rest = behind;
            Some((name, value))
        })
    }

    /// Every format can carry the names.
    pub fn has_plain_names(&self) -> bool {
        has_plain_names(&self.0)
    }

    /// The value of a label in a set's canonical bytes.
    pub fn value_in<'a>(canonical: &'a [u8], name: &str) -> Option<&'a str> {
        Labels { rest: canonical }.find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The set without the labels that `dropped` names.
    pub fn without(&self, dropped: impl Fn(&str) -> bool) -> LabelSet {
        if !self.iter().any(|(name, _)| dropped(name)) {
            return self.clone();
        }
        let mut bytes = Vec::with_capacity(self.0.len());
        for (name, value) in self.iter().filter(|(name, _)| !dropped(name)) {
            push_part(&mut bytes, name);
            push_part(&mut bytes, value);
        }
        LabelSet::from_canonical(&bytes)
    }

    /// The set with one more label; a label of that name that it has becomes `exported_<name>`.
    pub fn with(&self, name: &str, value: &str) -> LabelSet {
        let mut pairs: Vec<(String, String)> = self
            .iter()
            .map(|(n, v)| {
                let kept = if n == name { self.free_name(name) } else { n.to_owned() };
                (kept, v.to_owned())
            })
            .collect();
        pairs.push((name.to_owned(), value.to_owned()));
        pairs.sort();
        // An empty value that is kept, of a group's key, is kept here too.
        let mut bytes = Vec::with_capacity(self.0.len() + name.len() + value.len() + 4);
        for (name, value) in &pairs {
            push_part(&mut bytes, name);
            push_part(&mut bytes, value);
        }
        LabelSet::from_canonical(&bytes)
    }

    fn free_name(&self, taken: &str) -> String {
        let mut name = format!("exported_{taken}");
        while self.get(&name).is_some() {
            name.insert_str(0, "exported_");
        }
        name
    }
}

fn push_part(bytes: &mut Vec<u8>, part: &str) {
    let len = part.len().min(MAX_PART_BYTES);
    bytes.extend_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend_from_slice(part.as_bytes().get(..len).unwrap_or_default());
}

/// Iterator over the pairs of a [`LabelSet`].
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Labels<'a> {
    fn part(&mut self) -> Option<&'a str> {
        let (part, rest) = split_part(self.rest)?;
        self.rest = rest;
        std::str::from_utf8(part).ok()
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.part()?, self.part()?))
    }
}

impl Ord for LabelSet {
    /// Order of the pairs. Bytes of UTF-8 sort as its characters do, so nothing is decoded.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut mine, mut theirs) = (&*self.0, &*other.0);
        loop {
            match (split_part(mine), split_part(theirs)) {
                (Some((a, rest_a)), Some((b, rest_b))) => match a.cmp(b) {
                    Ordering::Equal => (mine, theirs) = (rest_a, rest_b),
                    order @ (Ordering::Less | Ordering::Greater) => return order,
                },
                (None, Some(_)) => return Ordering::Less,
                (Some(_), None) => return Ordering::Greater,
                (None, None) => return Ordering::Equal,
            }
        }
    }
}

/// Every format can carry the names of these canonical labels.
fn has_plain_names(mut canonical: &[u8]) -> bool {
    while let Some((name, rest)) = split_part(canonical) {
        if !is_plain_label_bytes(name) {
            return false;
        }
        canonical = split_part(rest).map_or(&[], |(_, rest)| rest);
    }
    true
}

/// The first length-prefixed part and what follows it.
#[inline]
fn split_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
}

impl PartialOrd for LabelSet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{LabelSet, LabelSetError};

    #[test]
    fn order_keys_sort_as_the_sets_do() {
        let mut values: Vec<String> = vec![];
        for a in ["a", "a\0", "a\0b", "a\u{1}", "ab", "b", "\0", "\u{ff}"] {
            values.extend(["", "a", "\0", "b"].map(|b| format!("{a}{b}")));
        }
        let mut sets = vec![LabelSet::empty()];
        for value in &values {
            sets.push(LabelSet::new(vec![("l", value.as_str())]).unwrap());
            sets.push(LabelSet::new(vec![("l", value.as_str()), ("m", "x")]).unwrap());
            sets.push(LabelSet::new(vec![(value.as_str(), "x"), ("zz", "y")]).unwrap());
        }
        let key = |set: &LabelSet| {
            let mut key = vec![];
            set.write_order_key(&mut key);
            key
        };
        for a in &sets {
            for b in &sets {
                assert_eq!(key(a).cmp(&key(b)), a.cmp(b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn order_of_writing_and_empty_values_do_not_matter() {
        let a = LabelSet::new(vec![("b", "2"), ("a", "1"), ("c", "")]).unwrap();
        let b = LabelSet::new(vec![("a", "1"), ("b", "2")]).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    }

    #[test]
    fn a_name_twice_is_refused() {
        assert_eq!(LabelSet::new(vec![("a", "1"), ("a", "2")]), Err(LabelSetError::DuplicateName));
    }

    #[test]
    fn a_label_that_is_in_the_way_is_exported() {
        let set = LabelSet::new(vec![("worker", "x"), ("exported_worker", "y")]).unwrap();
        let set = set.with("worker", "0");
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [("exported_exported_worker", "x"), ("exported_worker", "y"), ("worker", "0")]
        );
    }
}
