//! The label `clearmode` of accumulating pushes, as gravel-gateway knows it: what a push does with
//! what its series has accumulated. It is understood on deltas alone, and never exposed there.

use super::Stager;
use sidecar_model::{Aggregation, SampleParts, Window};

pub(crate) const CLEARMODE: &str = "clearmode";

/// What becomes of the accumulated value. The stronger one counts where samples of one histogram
/// say several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Clearing {
    /// Of counters, histograms and summaries the push is added to it; of gauges the family's
    /// function decides.
    #[default]
    ByType,
    /// The push is added to it.
    Add,
    /// The push takes its place.
    Replace,
    /// The push takes the place of all that the family has accumulated.
    ReplaceFamily,
}

/// The function that a sample asks for by this label.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedWindow {
    pub(super) window: Window,
    /// Index of the label; `None`: it is the path's.
    pub(super) label: Option<usize>,
}

impl Stager<'_> {
    /// What a delta's label says, that of the path before its own. Text that says nothing known is
    /// as if it were not there.
    pub(super) fn clearmode(&self, sample: &SampleParts<'_>) -> (Clearing, Option<AskedWindow>) {
        let of_path = self.grouping.as_ref().and_then(|grouping| grouping.label(CLEARMODE));
        let label = sample.labels.iter().position(|(name, _)| name == CLEARMODE);
        let own = label.and_then(|at| sample.labels.get(at)).map(|(_, text)| text.as_ref());
        let Some(text) = of_path.or(own) else { return (Clearing::ByType, None) };
        let clearing = match text {
            "aggregate" | "sum" => Clearing::Add,
            "replace" => Clearing::Replace,
            "family" | "info" => Clearing::ReplaceFamily,
            _ => Clearing::ByType,
        };
        let function: Option<Aggregation> = text.parse().ok();
        let label = if of_path.is_some() { None } else { label };
        let asked = |window| AskedWindow { window, label };
        (clearing, function.and_then(Aggregation::window).map(asked))
    }
}
