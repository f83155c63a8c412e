//! The grouping key of a push: labels that all its samples get, and whose push it is.
//!
//! A key with an id (`_id`, or a configured instance label) is an instance. One without is a plain
//! group: it is kept as it was pushed until something replaces it, and never merged.

use crate::settings::Settings;
use crate::stager::writer_id;
use sidecar_model::SampleParts;
use std::borrow::Cow;
use std::fmt::Write;

/// The labels of a push's path, `job` among them: sorted, names unique, values perhaps empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(Vec<(String, String)>);

impl GroupKey {
    /// Of the same name twice the last one counts.
    pub fn new(labels: impl IntoIterator<Item = (String, String)>) -> GroupKey {
        let mut sorted: Vec<(String, String)> = Vec::new();
        for (name, value) in labels {
            match sorted.binary_search_by(|(known, _)| known.cmp(&name)) {
                Ok(at) => sorted[at].1 = value,
                Err(at) => sorted.insert(at, (name, value)),
            }
        }
        GroupKey(sorted)
    }

    pub fn labels(&self) -> &[(String, String)] {
        &self.0
    }

    /// `{_id="1",job="x"}`: the id under which the key's instance is known.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from("{");
        for (at, (name, value)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            // Writing to a string cannot fail.
            write!(text, "{comma}{name}={value:?}").unwrap_or_default();
        }
        text.push('}');
        text
    }
}

/// A grouping key under the settings in force.
#[derive(Debug)]
pub(crate) struct Grouping {
    /// What every sample gets, whatever it says itself.
    overlay: Vec<(String, String)>,
    /// Samples that do not name an instance get an empty one, lest a scraper attach its own.
    adds_instance: bool,
    /// The key names no instance.
    pub(crate) is_plain: bool,
    /// The id of who pushes.
    pub(crate) writer: Box<str>,
    pub(crate) job: Box<str>,
    /// What names an instance besides `_id`.
    pub(crate) instance_labels: Vec<String>,
}

const INSTANCE: &str = "instance";

impl Grouping {
    pub(crate) fn new(key: &GroupKey, settings: &Settings) -> Grouping {
        let job = key.0.iter().find(|(name, _)| name == "job").map_or("", |(_, job)| job);
        let instance_labels = settings.instance_labels_of(job);
        let names_instance =
            |name: &str| name == "_id" || instance_labels.iter().any(|l| l == name);
        let is_plain = !key.0.iter().any(|(name, v)| names_instance(name) && !v.is_empty());
        let overlay: Vec<(String, String)> = key
            .0
            .iter()
            .filter(|(name, _)| !names_instance(name) && name != "_aggregate")
            .cloned()
            .collect();
        let adds_instance = is_plain && !key.0.iter().any(|(name, _)| name == INSTANCE);
        let (writer, job) = (key.text().into(), job.into());
        Grouping { overlay, adds_instance, is_plain, writer, job, instance_labels }
    }

    /// Who a sample of the push is of: in a plain group it may name an instance itself.
    pub(crate) fn writer_of<'a>(&'a self, sample: &'a SampleParts<'_>) -> Cow<'a, str> {
        if !self.is_plain {
            return Cow::Borrowed(&self.writer);
        }
        let own = writer_id(sample, &self.instance_labels);
        if own.is_empty() {
            return Cow::Borrowed(&self.writer);
        }
        Cow::Owned(format!("{}{own}", self.writer))
    }

    /// The value of a label that every sample gets.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.overlay.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the sample is the plain group's own.
    fn is_own(&self, writer: u32) -> bool {
        self.is_plain && writer == 0
    }

    /// Puts the key's labels in the place of the sample's.
    pub(crate) fn attach(&self, writer: u32, sample: &mut SampleParts<'_>) {
        sample.labels.retain(|(name, _)| !self.overlay.iter().any(|(key, _)| key == name));
        for (name, value) in &self.overlay {
            sample.labels.push((Cow::Owned(name.clone()), Cow::Owned(value.clone())));
        }
        let lacks_instance = || !sample.labels.iter().any(|(n, v)| n == INSTANCE && !v.is_empty());
        if self.is_own(writer) && self.adds_instance && lacks_instance() {
            sample.labels.retain(|(name, _)| name != INSTANCE);
            sample.labels.push((Cow::Borrowed(INSTANCE), Cow::Borrowed("")));
        }
    }

    /// Labels that are kept though they are empty.
    pub(crate) fn keeps_empty(&self, writer: u32, name: &str) -> bool {
        self.overlay.iter().any(|(key, _)| key == name)
            || (name == INSTANCE && self.adds_instance && self.is_own(writer))
    }
}
