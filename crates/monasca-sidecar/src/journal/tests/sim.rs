//! A disk in memory that can lose power, fill up and fail.

use super::super::disk::{Disk, DiskFile, Held};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Of one boot: after [`SimDisk::kill`] the old one does nothing any more.
#[derive(Clone, Debug)]
pub(super) struct SimDisk {
    world: Arc<Mutex<World>>,
    life: u64,
}

#[derive(Clone, Debug)]
struct World {
    life: u64,
    locked: bool,
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    capacity: u64,
    fault: Option<Fault>,
}

#[derive(Clone, Debug, Default)]
struct File {
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Any,
    Read,
    Write,
    Sync,
}

/// After so many operations of the kind one fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub operation: Operation,
    pub after: u32,
    /// As the operating system counts them.
    pub errno: i32,
    /// A write takes half of its bytes first.
    pub short: bool,
}

impl File {
    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Length(length) => bytes.resize(*length, 0),
            Change::Write(at, written) => {
                bytes.resize(bytes.len().max(at + written.len()), 0);
                bytes[*at..at + written.len()].copy_from_slice(written);
            }
        }
    }

    fn change(&mut self, change: Change) {
        File::apply(&mut self.cached, &change);
        self.unsynced.push(change);
    }
}

impl SimDisk {
    pub(super) fn new() -> SimDisk {
        let world = World {
            life: 0,
            locked: false,
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            capacity: u64::MAX,
            fault: None,
        };
        SimDisk { world: Arc::new(Mutex::new(world)), life: 0 }
    }

    /// The process ends at once; what it wrote stays.
    pub(super) fn kill(&self) -> SimDisk {
        let mut world = self.world.lock();
        world.life += 1;
        world.locked = false;
        world.fault = None;
        SimDisk { world: Arc::clone(&self.world), life: world.life }
    }

    /// A disk of its own with the same content.
    pub(super) fn copy(&self) -> SimDisk {
        let world = self.world.lock().clone();
        SimDisk { world: Arc::new(Mutex::new(world)), life: self.life }.kill()
    }

    /// The process ends; of what was not synced anything may be there, and in part.
    pub(super) fn lose_power(&self, mut choose: impl FnMut() -> u32) -> SimDisk {
        let disk = self.kill();
        let mut world = disk.world.lock();
        if choose().is_multiple_of(2) {
            world.names = world.durable_names.clone();
        }
        world.durable_names = world.names.clone();
        for file in &mut world.files {
            for change in std::mem::take(&mut file.unsynced) {
                match (choose() % 3, change) {
                    (0, change) => File::apply(&mut file.durable, &change),
                    (1, Change::Write(at, mut bytes)) => {
                        bytes.truncate(choose() as usize % (bytes.len() + 1));
                        File::apply(&mut file.durable, &Change::Write(at, bytes));
                    }
                    _ => {}
                }
            }
            file.cached = file.durable.clone();
        }
        drop(world);
        disk
    }

    pub(super) fn set_capacity(&self, bytes: u64) {
        self.world.lock().capacity = bytes;
    }

    pub(super) fn used(&self) -> u64 {
        self.world.lock().used()
    }

    pub(super) fn set_fault(&self, fault: Fault) {
        self.world.lock().fault = Some(fault);
    }

    pub(super) fn fault_is_pending(&self) -> bool {
        self.world.lock().fault.is_some()
    }

    pub(super) fn names(&self) -> Vec<String> {
        let world = self.world.lock();
        world
            .names
            .keys()
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .collect()
    }

    pub(super) fn content(&self, name: &str) -> Vec<u8> {
        let world = self.world.lock();
        let (_, file) = world.names.iter().find(|(path, _)| path.ends_with(name)).unwrap();
        world.files[*file].cached.clone()
    }

    pub(super) fn set_content(&self, name: &str, content: Vec<u8>) {
        let mut world = self.world.lock();
        let (_, file) = world.names.iter().find(|(path, _)| path.ends_with(name)).unwrap();
        let file = *file;
        world.files[file] = File { durable: content.clone(), cached: content, unsynced: vec![] };
    }

    /// Nothing for a process that has ended; and here operations fail.
    fn enter(&self, operation: Operation) -> io::Result<parking_lot::MutexGuard<'_, World>> {
        let mut world = self.world.lock();
        if world.life != self.life {
            return Err(io::Error::other("the process has ended"));
        }
        world.count(operation)?;
        Ok(world)
    }
}

impl World {
    fn count(&mut self, operation: Operation) -> io::Result<()> {
        let Some(fault) = &mut self.fault else { return Ok(()) };
        if fault.operation != Operation::Any && fault.operation != operation {
            return Ok(());
        }
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        let errno = fault.errno;
        self.fault = None;
        Err(io::Error::from_raw_os_error(errno))
    }

    fn used(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].cached.len() as u64).sum()
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn grow(&self, file: usize, length: usize) -> io::Result<()> {
        let more = length.saturating_sub(self.files[file].cached.len()) as u64;
        if more > 0 && self.used() + more > self.capacity {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Disk for SimDisk {
    fn make_directory(&self, _: &Path) -> io::Result<()> {
        self.enter(Operation::Any).map(drop)
    }

    fn lock(&self, _: &Path) -> io::Result<Option<Box<dyn Held>>> {
        let mut world = self.enter(Operation::Any)?;
        if world.locked {
            return Ok(None);
        }
        world.locked = true;
        Ok(Some(Box::new(SimLock(self.clone()))))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        drop(self.enter(Operation::Any)?);
        Ok(self.names())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.enter(Operation::Any)?;
        world.files.push(File::default());
        let file = world.files.len() - 1;
        world.names.insert(path.to_owned(), file);
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.enter(Operation::Any)?.find(path)?;
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.enter(Operation::Any)?;
        let file = world.find(from)?;
        world.names.remove(from);
        world.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.enter(Operation::Any)?;
        world.find(path)?;
        world.names.remove(path);
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        let mut world = self.enter(Operation::Sync)?;
        world.durable_names = world.names.clone();
        Ok(())
    }
}

#[derive(Debug)]
struct SimLock(SimDisk);

impl Held for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut world = self.0.world.lock();
        if world.life == self.0.life {
            world.locked = false;
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut world = self.disk.world.lock();
        if world.life != self.disk.life {
            return Err(io::Error::other("the process has ended"));
        }
        let short = world.fault.is_some_and(|fault| fault.short);
        let at = offset as usize;
        if let Err(error) = world.count(Operation::Write) {
            if short {
                let half = bytes[..bytes.len() / 2].to_vec();
                world.files[self.file].change(Change::Write(at, half));
            }
            return Err(error);
        }
        // Never more than a few bytes at once: whoever writes must go on.
        let some = bytes[..bytes.len().min(100)].to_vec();
        world.grow(self.file, at + some.len())?;
        let written = some.len();
        world.files[self.file].change(Change::Write(at, some));
        Ok(written)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let world = self.disk.enter(Operation::Read)?;
        let bytes = world.files[self.file].cached.get(offset as usize..).unwrap_or_default();
        let count = bytes.len().min(into.len()).min(4096);
        into[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut world = self.disk.enter(Operation::Any)?;
        world.grow(self.file, length as usize)?;
        let length = world.files[self.file].cached.len().max(length as usize);
        world.files[self.file].change(Change::Length(length));
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut world = self.disk.enter(Operation::Any)?;
        world.files[self.file].change(Change::Length(length as usize));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.enter(Operation::Any)?.files[self.file].cached.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world.lock();
        if world.life != self.disk.life {
            return Err(io::Error::other("the process has ended"));
        }
        let counted = world.count(Operation::Sync);
        let file = &mut world.files[self.file];
        let changes = std::mem::take(&mut file.unsynced);
        // What could not be written is dropped from the cache's list, as Linux does: the next sync
        // says that all is well.
        counted?;
        for change in changes {
            File::apply(&mut file.durable, &change);
        }
        Ok(())
    }
}
