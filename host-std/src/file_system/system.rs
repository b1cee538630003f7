//! The file system of the machine.

use std::{
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    time::SystemTime,
};

use super::{FileLock, FileSystem, OpenMode, StoredFile};

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl FileSystem for System {
    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
        let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        fs::metadata(path)?.modified()
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        // Opening a directory, and syncing it, is a Unix matter; elsewhere the
        // rename is all there is.
        if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoredFile>> {
        check_regular(match mode {
            OpenMode::Read | OpenMode::Write => fs::metadata(path),
            // What a name leads to elsewhere is not to be overwritten.
            OpenMode::Create => fs::symlink_metadata(path),
        })?;
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::Write => drop(options.write(true)),
            OpenMode::Create => drop(options.write(true).create(true).truncate(true)),
        }
        Ok(Box::new(SystemFile { file: options.open(path)?, at: 0, len_was_set: false }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        let file = match path.is_dir() {
            true => File::open(path)?,
            false => {
                check_regular(fs::metadata(path))?;
                OpenOptions::new().write(true).create(true).truncate(false).open(path)?
            }
        };
        match file.try_lock() {
            Ok(()) => Ok(Box::new(SystemLock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Refuses what is there and is no file: to open a pipe may take for ever.
fn check_regular(metadata: io::Result<Metadata>) -> io::Result<()> {
    match metadata {
        Ok(metadata) if !metadata.is_file() => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
        }
        _ => Ok(()),
    }
}

#[derive(Debug)]
struct SystemLock {
    _file: File,
}

impl FileLock for SystemLock {}

/// A file, and where the system will read or write next: a log is written from
/// end to end, which needs no seek.
#[derive(Debug)]
struct SystemFile {
    file: File,
    at: u64,
    len_was_set: bool,
}

impl SystemFile {
    fn seek(&mut self, at: u64) -> io::Result<()> {
        if self.at != at {
            self.file.seek(SeekFrom::Start(at))?;
            self.at = at;
        }
        Ok(())
    }
}

impl StoredFile for SystemFile {
    fn size(&mut self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.seek(at)?;
        let mut read = 0;
        while read < into.len() {
            match self.file.read(&mut into[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.at = at + read as u64;
        }
        Ok(read)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(at)?;
        let written = self.file.write_all(bytes);
        // After an error the position is anywhere.
        self.at = if written.is_ok() { at + bytes.len() as u64 } else { u64::MAX };
        written
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.len_was_set = true;
        self.file.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        // That syncing data alone makes a shorter length durable is not said
        // anywhere.
        if std::mem::take(&mut self.len_was_set) {
            self.file.sync_all()
        } else {
            self.file.sync_data()
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{os::unix::fs::symlink, process::Command};

    use super::*;

    #[test]
    fn what_is_no_file_is_refused_and_nothing_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, link, target] = ["pipe", "link", "target"].map(|name| folder.path().join(name));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for mode in [OpenMode::Read, OpenMode::Write, OpenMode::Create] {
            for path in [&pipe, folder.path()] {
                let error = System.open(path, mode).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}", path.display());
            }
        }
        assert!(System.lock(&pipe).is_err());
        fs::write(&target, "kept").unwrap();
        symlink(&target, &link).unwrap();
        assert!(System.open(&link, OpenMode::Create).is_err());
        assert!(System.open(&link, OpenMode::Read).is_ok());
        assert_eq!(fs::read(target).unwrap(), b"kept");
    }
}
