//! One directory as compaction sees it: who of its workers lives, and the steps by which a dead one's
//! files become totals and kept gauges.
//!
//! The files are renamed; when nobody has them, which is looked at in a later period, they are read for
//! the last time; their gauges are written into the kept file; the worker leaves the store; that is on the
//! disk; the files are deleted. Behind each step a crash leaves names and a kept file from which the next
//! daemon goes on, see ADR 16.

use super::super::Multiproc;
use super::super::alive::{Candidate, Hold, Life, Lives, Lock};
use super::super::directory::{Leaver, Roll, Rolled};
use super::super::folder::Folder;
use super::super::kept::{Kept, Seen};
use super::super::locks::{self, Guard};
use super::super::processes::{Look, Namespace, Presence, Process};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// So many leave at a time: while one step of theirs is done, scrapes wait.
const LEAVE_AT_ONCE: usize = 1_000;

const CANNOT_TELL: &str = "cannot tell which workers are dead: no process with one of their files can be \
    seen, and they have no lock files. Share the pid namespace (in Kubernetes shareProcessNamespace) and run \
    as the application's user, or have it call monasca_sidecar.multiprocess.hold()";

/// What a tick is done with.
pub(super) struct Work<'a> {
    pub multiproc: &'a Multiproc,
    pub look: Option<&'a Look>,
}

#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// `None`: before the first tick.
    lives: Option<Lives>,
    workers: BTreeMap<String, Candidate>,
    verdicts: BTreeMap<String, Life>,
    /// Renamed in the last period: who has opened them just before is seen in the next.
    fresh: BTreeSet<String>,
    /// Gone from the store, or about to be: their files are to be deleted.
    leaving: Vec<Leaver>,
    /// What is in the kept file of who has which file.
    written: Option<Seen>,
    /// No other daemon compacts here.
    guard: Option<Guard>,
    /// What was said last.
    told: Option<String>,
}

impl Place {
    pub(super) fn new(path: &Path) -> Place {
        Place {
            path: path.to_owned(),
            lives: None,
            workers: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            fresh: BTreeSet::new(),
            leaving: Vec::new(),
            written: None,
            guard: None,
            told: None,
        }
    }

    /// Takes in who is there.
    pub(super) fn meet(&mut self, roll: &Roll, here: Option<Namespace>) {
        let folder = Folder::open(&self.path);
        let lock = |pid: &str| match &folder {
            Ok(folder) => locks::try_take(folder, pid).0,
            Err(_) => Lock::Untold,
        };
        let candidate = |worker: &Rolled| Candidate {
            name: worker.pid.to_string(),
            files: worker.files.iter().map(|(_, file)| *file).collect(),
            live: worker.live,
            lock: lock(&worker.pid),
        };
        self.workers =
            roll.workers.iter().map(|(id, worker)| (id.clone(), candidate(worker))).collect();
        if self.lives.is_none() {
            let seen = roll.kept.as_ref().map(|kept| kept.seen.clone()).unwrap_or_default();
            self.written = Some(seen.clone());
            self.lives = Some(Lives::new(seen, here));
        }
    }

    pub(super) fn wants_look(&self, presence: impl Fn(Process) -> Presence) -> bool {
        self.lives.as_ref().is_some_and(|lives| lives.wants_look(&self.workers, presence))
    }

    pub(super) fn judge(&mut self, look: Option<&Look>, presence: impl Fn(Process) -> Presence) {
        let Some(lives) = &mut self.lives else { return };
        lives.learn(&self.workers, look);
        let verdict = |(id, worker): (&String, &Candidate)| {
            (id.clone(), lives.judge(id, worker, look, &presence))
        };
        self.verdicts = self.workers.iter().map(verdict).collect();
    }

    pub(super) fn life(&self, worker: &str) -> Life {
        self.verdicts.get(worker).copied().unwrap_or(Life::Unknown)
    }

    pub(super) fn dead(&self) -> usize {
        self.verdicts.values().filter(|life| **life == Life::Dead).count()
    }

    pub(super) fn unknown(&self) -> usize {
        self.verdicts.values().filter(|life| **life == Life::Unknown).count()
    }

    /// As many steps as can be done now.
    pub(super) fn compact(&mut self, at: usize, roll: &Roll, work: &Work<'_>) {
        let told = match self.try_compact(at, roll, work) {
            Ok(()) if self.cannot_tell(work) => Some(CANNOT_TELL.to_owned()),
            Ok(()) => None,
            Err(error) => Some(format!("compaction stops: {error}")),
        };
        if let Some(told) = &told
            && self.told.as_ref() != Some(told)
        {
            tracing::warn!(path = %self.path.display(), "{told}");
        }
        self.told = told;
    }

    fn cannot_tell(&self, work: &Work<'_>) -> bool {
        let Some(lives) = self.lives.as_ref().filter(|lives| !lives.sees_processes()) else {
            return false;
        };
        self.workers.iter().any(|(name, worker)| match self.life(name) {
            Life::Alive => false,
            Life::Dead => lives.hold(worker, work.look) == Hold::Untold,
            Life::Unknown => true,
        })
    }

    fn try_compact(&mut self, at: usize, roll: &Roll, work: &Work<'_>) -> io::Result<()> {
        let folder = match Folder::open(&self.path) {
            Ok(folder) => folder,
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.lock(&folder)?;
        let Some(kept) = roll.kept.clone() else {
            return Err(io::Error::other("the file of kept gauges cannot be used"));
        };
        self.delete(at, &folder, work)?;
        self.note_seen(at, &kept, &folder, work)?;
        self.take_leave(at, roll, &folder, work)?;
        self.rename(at, roll, &folder, work)?;
        sweep_locks(&folder, roll, work)
    }

    fn lock(&mut self, folder: &Folder) -> io::Result<()> {
        if self.guard.as_ref().is_none_or(Guard::is_lost) {
            self.guard = locks::take_directory(folder)?;
        }
        match self.guard {
            Some(_) => Ok(()),
            None => Err(io::Error::other("another daemon compacts the directory")),
        }
    }

    /// Before anybody's files are renamed: what proves a death must not be forgotten.
    fn note_seen(
        &mut self,
        at: usize,
        kept: &Arc<Kept>,
        folder: &Folder,
        work: &Work<'_>,
    ) -> io::Result<()> {
        let Some(lives) = &self.lives else { return Ok(()) };
        if self.written.as_ref() == Some(lives.seen()) {
            return Ok(());
        }
        let mut kept = Kept::clone(kept);
        self.put_seen(&mut kept);
        self.write(at, kept, &[], folder, work)
    }

    fn put_seen(&self, kept: &mut Kept) {
        if let Some(lives) = &self.lives {
            kept.seen = lives.seen().clone();
        }
    }

    /// What is kept from now on, first on the disk, then on the page.
    fn write(
        &mut self,
        at: usize,
        kept: Kept,
        leavers: &[Leaver],
        folder: &Folder,
        work: &Work<'_>,
    ) -> io::Result<()> {
        work.multiproc.tools.deeds.write_kept(folder, &kept)?;
        self.written = Some(kept.seen.clone());
        let kept = Arc::new(kept);
        work.multiproc.holding(at, |directory, tools| directory.say_goodbye(leavers, kept, tools));
        Ok(())
    }

    /// Those whose files nobody has any more leave, as far as all that they have counted is in the store.
    fn take_leave(
        &mut self,
        at: usize,
        roll: &Roll,
        folder: &Folder,
        work: &Work<'_>,
    ) -> io::Result<()> {
        let fresh = std::mem::take(&mut self.fresh);
        let ready = roll.workers.iter().filter(|(id, worker)| {
            worker.is_folding && worker.can_fold && !fresh.contains(*id) && self.is_free(id, work)
        });
        let ready: Vec<&str> = ready.map(|(_, worker)| &*worker.key).collect();
        for some in ready.chunks(LEAVE_AT_ONCE) {
            let mut leavers = work.multiproc.read_last(at, &some.iter().copied().collect());
            let kept = work.multiproc.holding(at, |directory, _| directory.roll().kept).flatten();
            let Some(kept) = kept else { return Ok(()) };
            let mut kept = Kept::clone(&kept);
            self.put_seen(&mut kept);
            leavers.retain(|leaver| match kept.join(&leaver.key, &leaver.gauges) {
                Ok(()) => true,
                Err(full) => {
                    tracing::warn!(id = leaver.id, %full, "a dead worker's files stay");
                    false
                }
            });
            if leavers.is_empty() {
                continue;
            }
            let going = || leavers.iter().chain(&self.leaving);
            kept.joined.retain(|name| {
                roll.workers.contains_key(name) || going().any(|leaver| *leaver.key == **name)
            });
            self.write(at, kept, &leavers, folder, work)?;
            self.leaving.extend(leavers);
            self.delete(at, folder, work)?;
        }
        Ok(())
    }

    fn is_free(&self, id: &str, work: &Work<'_>) -> bool {
        let (Some(lives), Some(worker)) = (&self.lives, self.workers.get(id)) else { return false };
        lives.hold(worker, work.look) == Hold::Nobody
    }

    /// Of those who have left.
    fn delete(&mut self, at: usize, folder: &Folder, work: &Work<'_>) -> io::Result<()> {
        if self.leaving.is_empty() {
            return Ok(());
        }
        let tools = &work.multiproc.tools;
        tools.deeds.sync_journal()?;
        for name in self.leaving.iter().flat_map(|leaver| &leaver.names) {
            tools.deeds.remove(folder, name)?;
        }
        tools.deeds.sync(folder)?;
        let gone = std::mem::take(&mut self.leaving);
        for leaver in &gone {
            // Where the journal is full it is folded later, as whoever has departed.
            tools.store.retire(&leaver.id, tools.clock.now()).unwrap_or_default();
        }
        work.multiproc.holding(at, |directory, _| directory.forget(&gone));
        tools.telemetry.multiproc.folded.add(gone.len() as u64);
        tracing::info!(path = %self.path.display(), workers = gone.len(), "folded dead workers");
        Ok(())
    }

    fn rename(
        &mut self,
        at: usize,
        roll: &Roll,
        folder: &Folder,
        work: &Work<'_>,
    ) -> io::Result<()> {
        for (id, worker) in &roll.workers {
            let is_due = !worker.is_folding
                && worker.can_fold
                && self.life(id) == Life::Dead
                && self.is_free(id, work);
            if !is_due {
                continue;
            }
            // With its lock in hand nobody begins under this pid meanwhile.
            let (lock, _guard) = locks::try_take(folder, &worker.pid);
            if lock == Lock::Held {
                continue;
            }
            let renamed = work
                .multiproc
                .holding(at, |directory, tools| directory.rename(&worker.key, folder, tools));
            renamed.unwrap_or(Ok(()))?;
            self.fresh.insert(id.clone());
        }
        Ok(())
    }
}

/// Lock files of processes that are dead and have no files.
fn sweep_locks(folder: &Folder, roll: &Roll, work: &Work<'_>) -> io::Result<()> {
    let mut unused = Vec::new();
    folder.list(|listed| {
        let pid = listed.name.to_str().ok().and_then(locks::pid_of);
        unused.extend(pid.filter(|pid| !roll.pids.contains(*pid)).map(str::to_owned));
    })?;
    for pid in unused {
        if let (Lock::Free, Some(_guard)) = locks::try_take(folder, &pid) {
            work.multiproc.tools.deeds.remove(folder, &locks::name_of(&pid))?;
        }
    }
    Ok(())
}
