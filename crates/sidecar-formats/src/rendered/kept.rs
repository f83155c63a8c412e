//! Keeps what was rendered for the layouts of the last exposition, and decides which of its
//! families a page can show.

use super::{Rendered, Style};
use crate::page::Encoded;
use hashbrown::{HashMap, HashSet};
use sidecar_model::{Exposition, Extras, FamilyLayout};
use std::sync::Arc;

type Names<'a> = HashSet<&'a str, foldhash::fast::RandomState>;

/// What an encoder keeps from one page to the next.
pub(crate) struct Kept {
    style: Style,
    /// As the families of the last exposition.
    entries: Vec<(u64, Entry)>,
    left_out: usize,
}

#[derive(Clone)]
struct Entry {
    rendered: Arc<Rendered>,
    show: Show,
}

/// What becomes of a family on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    Typed,
    /// Another family has a name that its type would need.
    Untyped,
    /// Another family has a name that it prints.
    Not,
}

/// A family on a page.
pub(crate) struct Shown {
    pub(crate) layout: Arc<FamilyLayout>,
    pub(crate) rendered: Arc<Rendered>,
    pub(crate) values: Vec<f64>,
    pub(crate) extras: Extras,
    pub(crate) typed: bool,
}

impl Kept {
    pub(crate) fn new(style: Style) -> Kept {
        Kept { style, entries: Vec::new(), left_out: 0 }
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// The families that the page shows.
    pub(crate) fn show(&mut self, exposition: Exposition) -> Vec<Shown> {
        self.prepare(&exposition);
        let families = exposition.families.into_iter().zip(&self.entries);
        let shown = families.filter(|(_, (_, entry))| entry.show != Show::Not);
        shown
            .map(|(family, (_, entry))| Shown {
                layout: family.layout,
                values: in_order(entry.rendered.order(), family.values),
                rendered: Arc::clone(&entry.rendered),
                extras: family.extras,
                typed: entry.show == Show::Typed,
            })
            .collect()
    }

    /// Of the last exposition.
    pub(crate) fn encoded(&self) -> Encoded {
        Encoded { left_out: self.left_out }
    }

    pub(crate) fn families(&self) -> usize {
        self.entries.len()
    }

    /// Brings `entries` up to the exposition.
    fn prepare(&mut self, exposition: &Exposition) {
        let ids = || exposition.families.iter().map(|family| family.layout.id);
        if self.entries.iter().map(|(id, _)| *id).eq(ids()) {
            return;
        }
        let mut old: HashMap<u64, Entry, foldhash::fast::RandomState> =
            self.entries.drain(..).collect();
        let style = self.style;
        let rendered: Vec<Arc<Rendered>> = exposition
            .families
            .iter()
            .map(|family| match old.remove(&family.layout.id) {
                Some(entry) => entry.rendered,
                None => Arc::new(Rendered::new(&family.layout, style)),
            })
            .collect();
        let shows = shows(&rendered);
        let left_out = rendered.iter().zip(&shows).map(|(r, show)| match show {
            Show::Not => r.points(),
            Show::Typed | Show::Untyped => r.left_out(),
        });
        self.left_out = left_out.sum();
        let entries = rendered.into_iter().zip(shows);
        self.entries =
            ids().zip(entries.map(|(rendered, show)| Entry { rendered, show })).collect();
    }
}

fn in_order(order: Option<&[u32]>, values: Vec<f64>) -> Vec<f64> {
    match order {
        None => values,
        Some(order) => order
            .iter()
            .map(|at| values.get(*at as usize).copied().unwrap_or(sidecar_model::ABSENT))
            .collect(),
    }
}

/// What becomes of each family. Of those that print the same name, one that was written so goes
/// before one made by escaping; then the first one counts. What a type needs besides the names
/// that are printed is not worth a family: then it goes without its type.
fn shows(rendered: &[Arc<Rendered>]) -> Vec<Show> {
    let mut taken = Names::default();
    let mut shows = vec![Show::Typed; rendered.len()];
    for escaped in [false, true] {
        for (family, show) in rendered.iter().zip(&mut shows) {
            if family.is_escaped() != escaped {
                continue;
            }
            let names = family.claimed();
            if names.is_empty() || names.iter().any(|name| taken.contains(name.as_str())) {
                *show = Show::Not;
            } else {
                taken.extend(names.iter().map(String::as_str));
            }
        }
    }
    for (family, show) in rendered.iter().zip(&mut shows) {
        let names = family.reserved();
        if *show == Show::Not {
            continue;
        }
        if names.iter().any(|name| taken.contains(name.as_str())) {
            *show = Show::Untyped;
        } else {
            taken.extend(names.iter().map(String::as_str));
        }
    }
    shows
}
