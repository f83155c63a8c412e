//! The kept gauges as they are shown: read from the directory once, pushed as an instance of its own,
//! and those whose newest value counts beside the values of the workers.

use super::super::Tools;
use super::super::folder::Folder;
use super::super::newest::Newest;
use super::file::{self, ReadError};
use super::{Kept, KeptError, KeptMode, KeptSample};
use sidecar_formats::DecodeError;
use sidecar_formats::mmap_file::{Extra, Stamped, offer_values};
use sidecar_store::{ENDLESS, PushMeta, Replaces, Room, Standing};
use std::path::Path;
use std::sync::Arc;

const MODES: [KeptMode; 3] = [KeptMode::Min, KeptMode::Max, KeptMode::Sum];

#[derive(Debug)]
pub(in crate::multiproc) struct ShownKept {
    id: String,
    state: State,
    samples: Vec<KeptSample>,
    /// It is not in the store as it is here.
    is_owed: bool,
    standing: Option<Standing>,
}

#[derive(Debug)]
enum State {
    Unread,
    /// Nothing was ever kept.
    Missing,
    Read(Arc<Kept>),
    /// It is there and says nothing: who has joined is not known.
    Unusable,
}

impl ShownKept {
    pub(in crate::multiproc) fn new(id: String) -> ShownKept {
        let state = State::Unread;
        ShownKept { id, state, samples: Vec::new(), is_owed: false, standing: None }
    }

    /// Whether an instance of the store is what was pushed here.
    pub(in crate::multiproc) fn is_shown_as(&self, id: &str) -> bool {
        self.standing.is_some() && self.id == id
    }

    /// `None`: it cannot be used, so nothing can be added to it.
    pub(in crate::multiproc) fn kept(&self) -> Option<Arc<Kept>> {
        match &self.state {
            State::Read(kept) => Some(Arc::clone(kept)),
            State::Missing => Some(Arc::default()),
            State::Unread | State::Unusable => None,
        }
    }

    /// Whether the gauges of this worker, whose files have been renamed, are in what is kept.
    pub(in crate::multiproc) fn has(&self, worker: &str) -> bool {
        match &self.state {
            State::Read(kept) => kept.joined.contains(worker),
            State::Missing => false,
            State::Unread | State::Unusable => true,
        }
    }

    /// A listing found the file, or did not: whoever empties the directory wants it forgotten.
    pub(in crate::multiproc) fn look(&mut self, folder: &Folder, is_there: bool, path: &Path) {
        match (&self.state, is_there) {
            (State::Unread | State::Missing, true) => self.read(folder, path),
            (State::Unread, false) => self.state = State::Missing,
            (State::Read(_) | State::Unusable, false) => self.lose(),
            (State::Missing, false) | (State::Read(_) | State::Unusable, true) => {}
        }
    }

    /// The directory is gone.
    pub(in crate::multiproc) fn lose(&mut self) {
        self.state = State::Missing;
        self.samples.clear();
        self.is_owed = true;
    }

    fn read(&mut self, folder: &Folder, path: &Path) {
        let path = path.join(file::NAME);
        match file::read(folder) {
            Ok(Some(kept)) => return self.adopt(Arc::new(kept)),
            // It went between the listing and the reading.
            Ok(None) => return self.state = State::Missing,
            Err(error @ ReadError::Content(KeptError::Damaged)) => match file::move_aside(folder) {
                Ok(aside) => {
                    tracing::error!(path = %path.display(), %error, aside, "kept gauges are lost");
                    return self.state = State::Missing;
                }
                Err(denied) => {
                    tracing::error!(path = %path.display(), %error, %denied, "no kept gauges");
                }
            },
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "no kept gauges, no compaction");
            }
        }
        self.state = State::Unusable;
    }

    /// What is on the disk now.
    pub(in crate::multiproc) fn adopt(&mut self, kept: Arc<Kept>) {
        let samples: Vec<KeptSample> = kept.samples().collect();
        self.is_owed |= samples != self.samples;
        self.samples = samples;
        self.state = State::Read(kept);
    }

    /// Into the choice of the newest values.
    pub(in crate::multiproc) fn show_newest(&self, newest: &mut Newest) {
        for KeptSample { mode, key, value, time } in &self.samples {
            if *mode == KeptMode::MostRecent {
                newest.see(mode.kind(), Stamped { key, value: *value, timestamp: *time });
            }
        }
    }

    /// Pushes the others, unless the store has them.
    pub(in crate::multiproc) fn push(
        &mut self,
        tools: &Tools,
        labels: &[(String, String)],
        leaving: &mut Vec<String>,
    ) {
        let is_in_store = tools.store.standing(&self.id) == self.standing;
        if !self.samples.iter().any(|sample| MODES.contains(&sample.mode)) {
            leaving.extend(self.standing.take().map(|_| self.id.clone()));
        } else if self.is_owed || self.standing.is_none() || !is_in_store {
            self.push_all(tools, labels);
        }
    }

    fn push_all(&mut self, tools: &Tools, labels: &[(String, String)]) {
        let ticket = tools.admission.memory.ticket();
        let room = ticket.as_ref().map(|ticket| ticket as &dyn Room);
        let meta = PushMeta {
            writer: Some(&self.id),
            ttl: Some(ENDLESS),
            replaces: Replaces::Everything,
            room,
            ..PushMeta::default()
        };
        let extra = Extra { labels, id: &self.id, pid: "" };
        let samples = &self.samples;
        let outcome = tools.store.push(&meta, tools.clock.now(), |stager| {
            for mode in MODES {
                let of_mode = samples.iter().filter(|sample| sample.mode == mode);
                let values = of_mode.map(|sample| (&*sample.key, sample.value));
                offer_values(mode.kind(), values, &extra, stager)?;
            }
            Ok::<(), DecodeError>(())
        });
        match outcome {
            Ok(outcome) if outcome.is_refusal() => tools.count_refusals(&outcome),
            Ok(outcome) => {
                tools.count_refusals(&outcome);
                tools.telemetry.samples.add(outcome.samples);
                self.is_owed = false;
                self.standing = tools.store.standing(&self.id);
            }
            Err(DecodeError { code, .. }) => tools.telemetry.refusals.add(code, 1),
        }
    }
}
