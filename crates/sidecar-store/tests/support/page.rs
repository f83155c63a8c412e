//! A store with a clock in milliseconds, fed with text as it comes over the wire and read as a page.

#![allow(dead_code, reason = "each test has its own use of it")]

use sidecar_formats::{DecodeError, Timestamps, prom_text};
use sidecar_model::{Temporality, Tick};
use sidecar_store::{Outcome, PushMeta, Settings, Store};

pub(crate) struct Page {
    pub(crate) store: Store,
    now: u64,
}

impl Page {
    pub(crate) fn new(settings: Settings) -> Page {
        Page::of(Store::new(settings, Tick::default()), 1_000_000)
    }

    /// Of a store whose clock is at `now`.
    pub(crate) fn of(store: Store, now: u64) -> Page {
        Page { store, now }
    }

    /// A push of totals and current values.
    pub(crate) fn push(&self, text: &str) -> Outcome {
        self.send(&PushMeta::default(), text).unwrap()
    }

    pub(crate) fn deltas(&self, text: &str) -> Outcome {
        self.try_deltas(text).unwrap()
    }

    pub(crate) fn try_deltas(&self, text: &str) -> Result<Outcome, DecodeError> {
        let meta = PushMeta { temporality: Some(Temporality::Delta), ..PushMeta::default() };
        self.send(&meta, text)
    }

    pub(crate) fn send(&self, meta: &PushMeta<'_>, text: &str) -> Result<Outcome, DecodeError> {
        self.store.push(meta, self.tick(), |sink| {
            prom_text::decode(text.as_bytes(), Timestamps::Drop, sink)
        })
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.wait_ms(seconds * 1_000);
    }

    /// With the upkeep of each second that passes.
    pub(crate) fn wait_ms(&mut self, wait: u64) {
        let end = self.now + wait;
        while self.now < end {
            self.now = end.min((self.now / 1_000 + 1) * 1_000);
            if self.now.is_multiple_of(1_000) {
                while self.store.upkeep(self.tick()) {}
            }
        }
    }

    pub(crate) fn tick(&self) -> Tick {
        Tick::from_millis(self.now)
    }

    /// The samples of the page, without comments.
    pub(crate) fn text(&self) -> String {
        let mut page = Vec::new();
        let exposition = self.store.collect(self.tick());
        prom_text::TextEncoder::new().encode(&exposition, &mut page);
        let page = String::from_utf8(page).unwrap();
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        samples.join("\n")
    }

    pub(crate) fn shows(&self, expected: &str) {
        assert_eq!(self.text(), expected);
    }
}
