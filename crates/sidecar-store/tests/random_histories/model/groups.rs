//! Groups: who pushes and under which labels, what a push replaces, how long a group stays.

use super::apply::Declared;
use super::stage::{Item, Staged};
use super::{ANONYMOUS, Answer, Labels, Model, Part, Parts, State};
use crate::body::{Push, PushedGroup};
use sidecar_model::{Aggregation, MetricType};
use sidecar_store::{Replaces, Settings};
use std::collections::BTreeSet;

/// Labels of a path, by name.
pub(crate) type Key = Vec<(String, String)>;

/// What a plain group is called among the writers: no id begins so.
const PLAIN: &str = "plain ";

pub(crate) fn is_plain(id: &str) -> bool {
    id.starts_with(PLAIN)
}

pub(crate) fn is_identified(id: &str) -> bool {
    id != ANONYMOUS && !is_plain(id)
}

fn text(key: &Key) -> String {
    let labels: Vec<String> = key.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{{{}}}", labels.join(","))
}

pub(crate) fn plain_group(key: &Key) -> String {
    format!("{PLAIN}{}", text(key))
}

fn names_instance(settings: &Settings, label: &str) -> bool {
    label == "_id" || settings.instance_labels.iter().any(|name| name == label)
}

/// The writer of what a group pushes itself.
fn writer_of(settings: &Settings, key: &Key) -> String {
    let has_id = key.iter().any(|(n, v)| names_instance(settings, n) && !v.is_empty());
    if has_id { text(key) } else { plain_group(key) }
}

/// Who a sample is of; its labels become those that it is kept under.
pub(super) fn attribute(
    settings: &Settings,
    group: Option<&PushedGroup>,
    labels: &mut Labels,
    delta: bool,
) -> String {
    let own = labels.remove("_id").unwrap_or_default();
    let Some(PushedGroup { key, .. }) = group else { return own };
    let writer = writer_of(settings, key);
    let of_key = key.iter().filter(|(name, _)| !names_instance(settings, name));
    labels.extend(of_key.cloned());
    if !is_plain(&writer) {
        return writer;
    }
    if !own.is_empty() {
        return format!("{}{own}", text(key));
    }
    if !delta {
        labels.entry("instance".to_owned()).or_default();
    }
    writer
}

impl Model {
    /// Writers in order of appearance, a group before all others, deltas last.
    pub(super) fn writers_of(&self, push: &Push, staged: &[Staged]) -> Vec<Option<String>> {
        let mut writers: Vec<Option<String>> = Vec::new();
        let own = push.group.as_ref().filter(|group| !group.delta);
        writers.extend(own.map(|group| Some(writer_of(&self.settings, &group.key))));
        let mut deltas = false;
        for item in staged.iter().flat_map(|f| &f.items) {
            deltas |= item.writer.is_none();
            if item.writer.is_some() && !writers.contains(&item.writer) {
                writers.push(item.writer.clone());
            }
        }
        writers.extend(deltas.then_some(None));
        writers
    }

    /// The times that a group shows of itself, as two more families.
    pub(super) fn stage_times(&self, push: &Push, staged: &mut Vec<Staged>) {
        let Some(group) = push.group.as_ref().filter(|group| !group.delta) else { return };
        let mut labels = Labels::new();
        let writer = Some(attribute(&self.settings, Some(group), &mut labels, false));
        let [done, failed] = self.times_after(group);
        for (name, value) in [("push_time_seconds", done), ("push_failure_time_seconds", failed)] {
            let values = Parts::from([(Part::Value, value)]);
            let item = Item {
                writer: writer.clone(),
                labels: labels.clone(),
                values,
                samples: 1,
                ..Item::default()
            };
            let said = if name == "push_time_seconds" { "succeeded" } else { "failed" };
            staged.push(Staged {
                name: name.to_owned(),
                metric_type: MetricType::Gauge,
                help: format!("Last Unix time when changing this group in the Pushgateway {said}."),
                unit: String::new(),
                items: vec![item],
                delta_of: None,
                wishes: vec![(writer.clone(), Aggregation::Max)],
            });
        }
    }

    fn times_after(&self, group: &PushedGroup) -> [f64; 2] {
        let writer = self.writers.get(&writer_of(&self.settings, &group.key));
        let (done, failed) = writer.map_or((0.0, 0.0), |writer| writer.times);
        if group.failed { [done, group.at] } else { [group.at, failed] }
    }

    /// Of a push of which nothing is taken nothing is changed.
    pub(super) fn takes_nothing(
        &self,
        writers: &[Option<String>],
        staged: &[Staged],
        answer: &mut Answer,
    ) -> bool {
        let mut refused = Answer::default();
        let mut declared = Declared::new();
        let taken = writers.iter().any(|writer| {
            let accepted = self.accepted(writer, staged, &mut declared, &mut refused);
            accepted.iter().any(|family| !family.name.starts_with("push_"))
        });
        if taken || refused.refused.is_empty() {
            return false;
        }
        answer.refused = refused.refused;
        true
    }

    /// No two plain groups have one series.
    pub(super) fn duplicate(&self, writer: Option<&str>, family: &Staged) -> Option<&'static str> {
        let writer = writer.filter(|id| is_plain(id))?;
        let others = self.writers.iter().filter(|(id, _)| is_plain(id) && *id != writer);
        let taken: BTreeSet<_> = others.flat_map(|(_, other)| other.series.keys()).collect();
        let same = |item: &Item| taken.contains(&(family.name.clone(), item.labels.clone()));
        let same_type = self.families.get(&family.name)?.metric_type == family.metric_type;
        (same_type && family.items.iter().any(same)).then_some("duplicate_series")
    }

    /// What a group's push leaves out goes; of an instance its gauges.
    pub(super) fn replace(&mut self, id: &str, push: &Push, accepted: &[Staged]) {
        let Some(group) = &push.group else { return };
        self.note_writes();
        let times = self.times_after(group);
        let types = self.types();
        let own = writer_of(&self.settings, &group.key) == id;
        let Some(writer) = self.writers.get_mut(id) else { return };
        if own {
            writer.key = Some(group.key.clone());
            writer.times = (times[0], times[1]);
        }
        let pushed = |name: &str, labels: &Labels| {
            accepted.iter().any(|family| {
                let is_it = |item: &Item| item.labels == *labels && !item.values.is_empty();
                family.name == name && family.items.iter().any(is_it)
            })
        };
        let of_family = |name: &str| accepted.iter().any(|family| family.name == name);
        writer.series.retain(|(name, labels), _| {
            let replaced = match group.replaces {
                Replaces::Nothing => false,
                Replaces::SameFamilies => of_family(name),
                Replaces::Everything => true,
            };
            let counts = is_identified(id) && types.get(name).is_some_and(|t| t.is_cumulative());
            !replaced || counts || pushed(name, labels)
        });
        if is_plain(id) {
            let series = &writer.series;
            let used = |name: &String| of_family(name) || series.keys().any(|(n, _)| n == name);
            writer.holds.retain(&used);
            writer.wishes.retain(|name, _| used(name));
        }
        self.mark_unheld();
    }

    /// Goodbye of whoever has the key: a plain group goes with all it had.
    pub(crate) fn delete_group(&mut self, key: &Key, erase: bool) -> bool {
        let mut found = false;
        if self.writers.contains_key(&plain_group(key)) {
            self.leave(&plain_group(key));
            found = true;
        }
        let instance = text(key);
        if self.writers.get(&instance).is_some_and(|writer| writer.key.is_some()) {
            found |= if erase { self.erase(&instance) } else { self.depart(&instance) };
        }
        self.keep_company();
        found
    }

    pub(crate) fn delete_groups_below(&mut self, above: &Key, erase: bool) -> usize {
        let keys: BTreeSet<Key> = self.writers.values().filter_map(|w| w.key.clone()).collect();
        let below = keys.iter().filter(|key| above.iter().all(|label| key.contains(label)));
        below.filter(|key| self.delete_group(key, erase)).count()
    }

    /// By time alone a plain group goes only where its latest push said so.
    pub(super) fn expire_groups(&mut self) {
        let groups = self.writers.iter().filter(|(id, w)| is_plain(id) && w.state == State::Live);
        let expired: Vec<String> = groups
            .filter(|(_, w)| w.ttl.is_some_and(|ttl| self.now - w.heard >= ttl))
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            self.leave(&id);
        }
    }

    /// Key and times of each plain group.
    pub(crate) fn groups(&self) -> Vec<(Key, (f64, f64))> {
        let groups = self.writers.iter().filter(|(id, _)| is_plain(id));
        groups.map(|(_, w)| (w.key.clone().unwrap_or_default(), w.times)).collect()
    }
}
