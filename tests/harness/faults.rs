//! A disk that forgets, tears and refuses.
//!
//! # The fault model
//!
//! The disk keeps two images: *live*, what the running program sees, and
//! *durable*, what was synced. At a crash, what is between the two is at the
//! mercy of a seed:
//!
//! - Every write since the file's last sync is, on its own, kept, dropped, or
//!   done in part: each sector (512 bytes) of it is then kept, dropped, torn
//!   after some of its bytes, or scrambled (random bytes, zeros, or 0xFF).
//! - Every change of a file's length since then is kept or dropped on its own,
//!   whatever became of the bytes. A file that is longer than its data has
//!   zeros or garbage there.
//! - Every creation, renaming and removal of a name since the directory's last
//!   sync is kept or dropped on its own, whatever became of the file. A
//!   directory that is dropped takes what is in it along.
//!
//! What a crash may not do: change a byte that a sync has covered and nothing
//! has written to since, shorten a file below its synced length unless it was
//! cut since, or take back a name that a sync of its directory has covered.
//!
//! Syncing a file says nothing about its name, and syncing a directory nothing
//! about the bytes of the files in it.
//!
//! Errors are made at the nth operation: the operation fails, or a write is
//! done in part and fails. After a failed sync the file's writes count as
//! clean although they need not be durable, none or some or all of them: a
//! later sync does not bring them back, as on Linux. A read can fail too. A
//! disk of a given size is full when it is full, in the middle of a write.
//!
//! Names move inside one directory only; that is all that is asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use interstice::file_system::{FileLock, FileSystem, OpenMode, StoredFile};

use crate::random::Random;

const SECTOR_LEN: u64 = 512;

/// A disk with faults. Clones are the same disk.
#[derive(Clone)]
pub struct FaultyDisk {
    disk: Arc<Mutex<Machine>>,
}

/// What a failing operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with an I/O error, and has no effect.
    Io,
    /// It fails because the disk is full, and has no effect.
    NoSpace,
    /// A write is done in part and fails; anything else fails.
    Short,
    /// The power goes: it is done or not, and everything later fails.
    Crash,
}

/// A moment in the life of a disk: what a crash then may leave.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    durable_dirs: BTreeSet<PathBuf>,
    files: Vec<File>,
}

#[derive(Clone, Debug, Default)]
struct File {
    live: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    pending: Vec<Change>,
    /// Whether a failed sync has left bytes that count as clean and are not
    /// durable.
    has_lost: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: u64, bytes: Arc<Vec<u8>> },
    SetLen(u64),
}

/// What has happened to the names of a directory.
#[derive(Clone, Debug)]
struct NameChange {
    removed: Option<PathBuf>,
    added: Option<(PathBuf, usize)>,
}

/// The disk and the machine that it is in.
struct Machine {
    now: Moment,
    /// Operations that change or sync something, so far.
    operations: u64,
    fault: Option<(u64, Fault)>,
    reads: u64,
    read_fault: Option<u64>,
    has_crashed: bool,
    capacity: Option<u64>,
    locks: BTreeSet<PathBuf>,
    /// Operations before a lock was let go.
    unlocked_at: Option<u64>,
    /// Every moment so far, when they are kept.
    trace: Option<Vec<Moment>>,
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyDisk({} operations)", self.operations())
    }
}

impl Default for FaultyDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl FaultyDisk {
    /// An empty disk, with a root.
    pub fn new() -> Self {
        let root = BTreeSet::from([PathBuf::from("/")]);
        let durable_dirs = root.clone();
        Self::after(Moment { dirs: root, durable_dirs, ..Moment::default() })
    }

    /// The disk after the machine was started again, with what a crash left.
    pub fn after(image: Moment) -> Self {
        let machine = Machine {
            now: image,
            operations: 0,
            fault: None,
            reads: 0,
            read_fault: None,
            has_crashed: false,
            capacity: None,
            locks: BTreeSet::new(),
            unlocked_at: None,
            trace: None,
        };
        Self { disk: Arc::new(Mutex::new(machine)) }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.disk.lock().expect("no test goes on after a panic")
    }

    /// Operations that changed or synced something, so far.
    pub fn operations(&self) -> u64 {
        self.machine().operations
    }

    /// Operations before a lock was let go for the last time.
    pub fn unlocked_at(&self) -> Option<u64> {
        self.machine().unlocked_at
    }

    /// Makes the operation with this number fail, counted from zero.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.machine().fault = Some((operation, fault));
    }

    /// Reads so far.
    pub fn reads(&self) -> u64 {
        self.machine().reads
    }

    /// Makes the read with this number fail, counted from zero.
    pub fn fail_read_at(&self, read: u64) {
        self.machine().read_fault = Some(read);
    }

    /// Gives the disk so many bytes.
    pub fn set_capacity(&self, bytes: u64) {
        self.machine().capacity = Some(bytes);
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.machine().now.used()
    }

    /// Keeps every moment from now on.
    pub fn keep_trace(&self) {
        self.machine().trace = Some(Vec::new());
    }

    /// The moments that were kept: one after each operation.
    pub fn take_trace(&self) -> Vec<Moment> {
        self.machine().trace.take().unwrap_or_default()
    }

    /// The disk as it is.
    pub fn moment(&self) -> Moment {
        self.machine().now.clone()
    }

    /// Every file and its content, by path.
    pub fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.moment().content()
    }

    /// Puts a file there, durably, whatever was there.
    pub fn put(&self, path: &Path, content: &[u8]) {
        self.machine().now.put(path, content);
    }
}

impl Moment {
    /// What is there after a crash at this moment, by a seed.
    pub fn crash(&self, random: &mut Random) -> Self {
        let mut names = self.durable_names.clone();
        for change in &self.pending_names {
            if random.below(2) == 0 {
                continue;
            }
            if let Some(removed) = &change.removed {
                names.remove(removed);
            }
            if let Some((path, file)) = &change.added {
                names.insert(path.clone(), *file);
            }
        }
        let mut dirs = BTreeSet::new();
        for dir in &self.dirs {
            // Those above come first.
            let has_parent = dir.parent().is_none_or(|parent| dirs.contains(parent));
            let is_kept = self.durable_dirs.contains(dir) || random.below(2) == 0;
            if has_parent && is_kept {
                dirs.insert(dir.clone());
            }
        }
        names.retain(|path, _| path.parent().is_none_or(|dir| dirs.contains(dir)));
        let files = self.files.iter().map(|file| file.crash(random)).collect();
        Self { dirs: dirs.clone(), durable_dirs: dirs, ..self.with(names, files) }
    }

    /// What is there when everything pending has made it.
    pub fn settled(&self) -> Self {
        let settle = |file: &File| File::of(file.live.clone());
        self.with(self.names.clone(), self.files.iter().map(settle).collect())
    }

    fn with(&self, names: BTreeMap<PathBuf, usize>, files: Vec<File>) -> Self {
        let durable_names = names.clone();
        let dirs = self.dirs.clone();
        let durable_dirs = dirs.clone();
        Self { names, durable_names, pending_names: Vec::new(), dirs, durable_dirs, files }
    }

    /// Every file and its content, by path.
    pub fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let content =
            |(path, file): (&PathBuf, &usize)| (path.clone(), self.files[*file].live.to_vec());
        self.names.iter().map(content).collect()
    }

    /// Puts a file there, durably, whatever was there.
    pub fn put(&mut self, path: &Path, content: &[u8]) {
        self.files.push(File::of(Arc::new(content.to_vec())));
        let file = self.files.len() - 1;
        self.names.insert(path.to_owned(), file);
        self.durable_names.insert(path.to_owned(), file);
    }

    /// Takes a file away, durably.
    pub fn take_away(&mut self, path: &Path) {
        self.names.remove(path);
        self.durable_names.remove(path);
    }

    fn used(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].live.len() as u64).sum()
    }

    fn rename(&mut self, removed: Option<PathBuf>, added: Option<(PathBuf, usize)>) {
        if let Some(removed) = &removed {
            self.names.remove(removed);
        }
        if let Some((path, file)) = &added {
            self.names.insert(path.clone(), *file);
        }
        self.pending_names.push(NameChange { removed, added });
    }

    fn sync_dir(&mut self, dir: &Path) {
        let is_in = |path: &PathBuf| path.parent() == Some(dir);
        self.durable_names.retain(|path, _| !is_in(path));
        let synced = self.names.iter().filter(|(path, _)| is_in(path));
        self.durable_names.extend(synced.map(|(path, file)| (path.clone(), *file)));
        let dirs = self.dirs.iter().filter(|path| is_in(path));
        self.durable_dirs.extend(dirs.cloned());
        self.pending_names.retain(|change| {
            let path = change.removed.as_ref().or(change.added.as_ref().map(|(path, _)| path));
            !path.is_some_and(is_in)
        });
    }
}

impl File {
    fn of(content: Arc<Vec<u8>>) -> Self {
        Self { live: content.clone(), durable: content, pending: Vec::new(), has_lost: false }
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        overwrite(Arc::make_mut(&mut self.live), at, bytes);
        self.pending.push(Change::Write { at, bytes: Arc::new(bytes.to_vec()) });
    }

    fn set_len(&mut self, len: u64) {
        Arc::make_mut(&mut self.live).resize(len as usize, 0);
        self.pending.push(Change::SetLen(len));
    }

    fn sync(&mut self) {
        if !self.has_lost {
            self.durable = self.live.clone();
            self.pending.clear();
            return;
        }
        self.sync_pending();
    }

    /// Of what was to be synced some is durable, all of it or nothing; the rest
    /// is lost, though it can be read.
    fn fail_sync(&mut self, number: u64) {
        let kept = match number % 3 {
            0 => 0,
            1 => self.pending.len(),
            _ => self.pending.len().div_ceil(2),
        };
        let mut lost = self.pending.split_off(kept);
        self.sync_pending();
        lost.clear();
        self.has_lost = true;
    }

    fn sync_pending(&mut self) {
        let durable = Arc::make_mut(&mut self.durable);
        for change in self.pending.drain(..) {
            match change {
                Change::Write { at, bytes } => overwrite(durable, at, &bytes),
                Change::SetLen(len) => durable.resize(len as usize, 0),
            }
        }
    }

    /// What is left of the file after a crash.
    fn crash(&self, random: &mut Random) -> Self {
        if self.pending.is_empty() {
            return Self::of(self.durable.clone());
        }
        let mut content = self.durable.to_vec();
        let mut len = content.len();
        for change in &self.pending {
            match change {
                Change::SetLen(new) if random.below(2) == 0 => {
                    content.resize(*new as usize, 0);
                    len = *new as usize;
                }
                Change::SetLen(_) => {}
                Change::Write { at, bytes } => {
                    // The length is written on its own.
                    if random.below(3) > 0 {
                        len = len.max(*at as usize + bytes.len());
                    }
                    crash_write(&mut content, *at, bytes, random);
                }
            }
        }
        if content.len() < len && random.below(2) == 0 {
            let garbage = random.bytes(len - content.len());
            content.extend(garbage);
        }
        content.resize(len, 0);
        Self::of(Arc::new(content))
    }
}

fn overwrite(content: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let (start, end) = (at as usize, at as usize + bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}

/// What is left of a write that nothing has synced.
fn crash_write(content: &mut Vec<u8>, at: u64, bytes: &[u8], random: &mut Random) {
    match random.below(3) {
        0 => overwrite(content, at, bytes),
        1 => {}
        _ => {
            let mut done = 0;
            while done < bytes.len() {
                let position = at + done as u64;
                let left_in_sector = (SECTOR_LEN - position % SECTOR_LEN) as usize;
                let end = bytes.len().min(done + left_in_sector);
                crash_sector(content, position, &bytes[done..end], random);
                done = end;
            }
        }
    }
}

fn crash_sector(content: &mut Vec<u8>, at: u64, bytes: &[u8], random: &mut Random) {
    match random.below(6) {
        0 | 1 => overwrite(content, at, bytes),
        2 => {}
        3 => {
            let torn = random.below(bytes.len() as u64 + 1) as usize;
            overwrite(content, at, &bytes[..torn]);
        }
        4 => {
            let garbage = random.bytes(bytes.len());
            overwrite(content, at, &garbage);
        }
        _ => {
            let filler = if random.below(2) == 0 { 0x00 } else { 0xff };
            overwrite(content, at, &vec![filler; bytes.len()]);
        }
    }
}

/// What becomes of an operation.
enum Fate {
    /// It is done.
    Done,
    /// It fails without an effect.
    Fails(io::Error),
    /// A part of it is done, and it fails.
    Partly(io::Error),
}

impl Machine {
    /// Begins an operation that changes or syncs something.
    fn begin(&mut self) -> Fate {
        if self.has_crashed {
            return Fate::Fails(crashed());
        }
        let number = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, fault)) if at == number => match fault {
                Fault::Io => Fate::Fails(io::Error::from_raw_os_error(5)),
                Fault::NoSpace => Fate::Fails(no_space()),
                Fault::Short => Fate::Partly(io::Error::from_raw_os_error(5)),
                Fault::Crash => {
                    self.has_crashed = true;
                    Fate::Partly(crashed())
                }
            },
            _ => Fate::Done,
        }
    }

    /// Ends an operation: whatever it did is a moment of its own.
    fn end<R>(&mut self, done: io::Result<R>) -> io::Result<R> {
        if let Some(trace) = &mut self.trace {
            trace.push(self.now.clone());
        }
        done
    }

    /// Runs an operation that is done whole, or not at all.
    fn run(&mut self, operation: impl FnOnce(&mut Moment) -> io::Result<()>) -> io::Result<()> {
        let done = match self.begin() {
            Fate::Done => operation(&mut self.now),
            Fate::Fails(error) => Err(error),
            // Done or not is decided by the crash: nothing of it is synced.
            Fate::Partly(error) => operation(&mut self.now).and(Err(error)),
        };
        self.end(done)
    }

    fn check_readable(&self) -> io::Result<()> {
        if self.has_crashed { Err(crashed()) } else { Ok(()) }
    }

    /// How long a file can become.
    fn room_for(&self, file: usize) -> u64 {
        let Some(capacity) = self.capacity else { return u64::MAX };
        let live = self.now.files[file].live.len() as u64;
        capacity.saturating_sub(self.now.used().saturating_sub(live)).max(live)
    }
}

fn crashed() -> io::Error {
    io::Error::other("the machine has crashed")
}

fn no_space() -> io::Error {
    io::Error::from_raw_os_error(28)
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl FileSystem for FaultyDisk {
    fn is_file(&self, path: &Path) -> bool {
        self.machine().now.names.contains_key(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.machine().now.dirs.contains(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let machine = self.machine();
        machine.check_readable()?;
        if !machine.now.dirs.contains(dir) {
            return Err(not_found());
        }
        let dirs = machine.now.dirs.iter();
        let all = machine.now.names.keys().chain(dirs).filter(|path| path.parent() == Some(dir));
        let mut names: Vec<String> =
            all.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
        names.sort();
        Ok(names)
    }

    fn modified(&self, _path: &Path) -> io::Result<SystemTime> {
        Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let dirs: Vec<PathBuf> = dir.ancestors().map(Path::to_owned).collect();
        self.machine().run(|now| {
            now.dirs.extend(dirs);
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        if !machine.now.dirs.contains(dir) {
            return Err(not_found());
        }
        let done = match machine.begin() {
            Fate::Done => {
                machine.now.sync_dir(dir);
                Ok(())
            }
            Fate::Fails(error) | Fate::Partly(error) => Err(error),
        };
        machine.end(done)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoredFile>> {
        let mut machine = self.machine();
        machine.check_readable()?;
        let known = machine.now.names.get(path).copied();
        let file = match (mode, known) {
            (OpenMode::Create, None) => {
                if !path.parent().is_some_and(|dir| machine.now.dirs.contains(dir)) {
                    return Err(not_found());
                }
                let file = machine.now.files.len();
                machine.run(|now| {
                    now.files.push(File::default());
                    now.rename(None, Some((path.to_owned(), file)));
                    Ok(())
                })?;
                file
            }
            (OpenMode::Create, Some(file)) => {
                machine.run(|now| {
                    now.files[file].set_len(0);
                    Ok(())
                })?;
                file
            }
            (_, Some(file)) => file,
            (_, None) => return Err(not_found()),
        };
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.machine().run(|now| {
            let file = *now.names.get(from).ok_or_else(not_found)?;
            now.rename(Some(from.to_owned()), Some((to.to_owned(), file)));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.machine().run(|now| {
            now.names.contains_key(path).then_some(()).ok_or_else(not_found)?;
            now.rename(Some(path.to_owned()), None);
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        let mut machine = self.machine();
        machine.check_readable()?;
        if !machine.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock { disk: self.clone(), path: path.to_owned() }))
    }
}

/// An open file.
#[derive(Debug)]
struct Handle {
    disk: FaultyDisk,
    file: usize,
}

impl StoredFile for Handle {
    fn size(&mut self) -> io::Result<u64> {
        let machine = self.disk.machine();
        machine.check_readable()?;
        Ok(machine.now.files[self.file].live.len() as u64)
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut machine = self.disk.machine();
        machine.check_readable()?;
        let number = machine.reads;
        machine.reads += 1;
        if machine.read_fault == Some(number) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let live = &machine.now.files[self.file].live;
        let rest = live.get(at as usize..).unwrap_or_default();
        let read = rest.len().min(into.len());
        into[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut machine = self.disk.machine();
        let room = machine.room_for(self.file).saturating_sub(at);
        let done = match machine.begin() {
            Fate::Done if room < bytes.len() as u64 => {
                machine.now.files[self.file].write(at, &bytes[..room as usize]);
                Err(no_space())
            }
            Fate::Done => {
                machine.now.files[self.file].write(at, bytes);
                Ok(())
            }
            Fate::Fails(error) => Err(error),
            Fate::Partly(error) => {
                machine.now.files[self.file].write(at, &bytes[..bytes.len() / 2]);
                Err(error)
            }
        };
        machine.end(done)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let file = self.file;
        let mut machine = self.disk.machine();
        let room = machine.room_for(file);
        machine.run(|now| {
            if len > room {
                return Err(no_space());
            }
            now.files[file].set_len(len);
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut machine = self.disk.machine();
        let done = match machine.begin() {
            Fate::Done => {
                machine.now.files[self.file].sync();
                Ok(())
            }
            Fate::Fails(error) | Fate::Partly(error) => {
                // After a crash nobody is there to be lied to.
                if !machine.has_crashed {
                    let number = machine.operations;
                    machine.now.files[self.file].fail_sync(number);
                }
                Err(error)
            }
        };
        machine.end(done)
    }
}

#[derive(Debug)]
struct Lock {
    disk: FaultyDisk,
    path: PathBuf,
}

impl FileLock for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut machine = self.disk.machine();
        machine.locks.remove(&self.path);
        machine.unlocked_at = Some(machine.operations);
    }
}
