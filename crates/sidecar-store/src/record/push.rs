//! The record of a push that goes through the catalog: what it says of itself and what was staged.

use super::PUSH;
use crate::apply::{Apply, Commit, Place};
use crate::journal::Position;
use crate::outcome::PushMeta;
use crate::stager::Stager;
use crate::store::Store;
use crate::stored::outcome::OwnMeta;
use crate::stored::{Corrupt, Reader, Stored, Writer};
use sidecar_model::Tick;

/// `number`: its place in the order of pushes.
pub(crate) fn put_push(
    stager: &Stager<'_>,
    meta: &PushMeta<'_>,
    number: u64,
    now: Tick,
    out: &mut Writer<'_>,
) {
    out.byte(PUSH);
    out.number(number);
    now.put(out);
    OwnMeta::of(meta).put(out);
    stager.put(out);
}

impl Store {
    pub(super) fn replay_push(
        &self,
        position: Position,
        from: &mut Reader<'_>,
    ) -> Result<Tick, Corrupt> {
        let number = from.number()?;
        let now = Tick::take(from)?;
        let meta = OwnMeta::take(from)?;
        let meta = meta.meta();
        self.see_sequence(number)?;
        let stager = Stager::take(self, &meta, from)?;
        from.end()?;
        let mut catalog = self.change();
        let place = Place::Replayed { number, position };
        match Apply::run(self, &mut catalog, stager, &meta, now, place) {
            Commit::Done(outcome) if outcome.recorded == position => Ok(now),
            Commit::Done(_) | Commit::Moved => Err(Corrupt("a push that does not fit the state")),
        }
    }
}
