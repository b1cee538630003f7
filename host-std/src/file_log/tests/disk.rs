//! The system's files, with a record of what is done to them, and refusals.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use crate::file_system::{FileSystem, OpenMode, StoredFile, System, forward::forward_to_system};

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Read { at: u64, wanted: usize },
    Write { at: u64, len: usize },
    SetLen(u64),
    Sync,
}

#[derive(Debug, Default)]
struct Record {
    done: Vec<Done>,
    refuses: bool,
    /// Nothing longer than this fits.
    room: Option<usize>,
}

/// The system's file system, watched.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<Record>>);

impl Disk {
    /// What was done since this was asked last.
    pub(super) fn take_done(&self) -> Vec<Done> {
        std::mem::take(&mut self.0.lock().unwrap().done)
    }

    /// From now on every write and sync fails, or none does.
    pub(super) fn refuse(&self, refuses: bool) {
        self.0.lock().unwrap().refuses = refuses;
    }

    /// From now on files can be made longer by so many bytes at a time.
    pub(super) fn fill_up_to(&self, room: usize) {
        self.0.lock().unwrap().room = Some(room);
    }

    fn note(&self, done: Done) -> io::Result<()> {
        let mut record = self.0.lock().unwrap();
        record.done.push(done);
        let is_full = match (done, record.room) {
            (Done::Write { len, .. }, Some(room)) => len > room,
            (Done::SetLen(_), room) => room.is_some(),
            _ => false,
        };
        if is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let is_read = matches!(done, Done::Read { .. });
        if record.refuses && !is_read { Err(io::Error::other("refused")) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct DiskFile {
    file: Box<dyn StoredFile>,
    disk: Disk,
}

impl FileSystem for Disk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoredFile>> {
        let file = System.open(path, mode)?;
        Ok(Box::new(DiskFile { file, disk: self.clone() }))
    }

    forward_to_system!(
        is_file is_dir list modified create_dir_all sync_dir rename remove lock
    );
}

impl StoredFile for DiskFile {
    fn size(&mut self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.disk.note(Done::Read { at, wanted: into.len() })?;
        self.file.read_at(at, into)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.note(Done::Write { at, len: bytes.len() })?;
        self.file.write_at(at, bytes)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.disk.note(Done::SetLen(len))?;
        self.file.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.note(Done::Sync)?;
        self.file.sync()
    }
}
