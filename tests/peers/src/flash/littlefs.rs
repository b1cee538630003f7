//! `littlefs2`: records at the end of a file. The file begins anew at an eighth
//! of what is kept, and the oldest goes, because a file loses nothing from its
//! beginning.

use std::ops::Range;

use littlefs2::{
    fs::{Allocation, File, FileAllocation, Filesystem},
    io::Write as _,
    path::PathBuf,
};

use super::{
    peers::{Peer, kept, said},
    simulated::Simulated,
};
use crate::{Result, records::Records};

/// Files that what is kept is in.
const FILES: u64 = 8;

/// Bytes of the largest record, for reading.
const BUFFER: usize = 128;

pub struct LittleFs {
    pub group: u64,
}

fn path(file: u64) -> Result<PathBuf> {
    said(PathBuf::try_from(format!("{file:08}").as_str()))
}

/// Appends a group, and closes the file, which makes it durable.
fn write(system: &Filesystem<'_, Simulated>, records: Records, numbers: Range<u64>) -> Result<()> {
    let of_file = kept(records) / FILES / 100 * 100;
    let file = numbers.start / of_file;
    if numbers.start.is_multiple_of(of_file)
        && let Some(old) = file.checked_sub(FILES + 1)
    {
        said(system.remove(&path(old)?))?;
    }
    said(system.open_file_with_options_and_then(
        |options| options.write(true).append(true).create(true),
        &path(file)?,
        |file| numbers.clone().try_for_each(|number| file.write_all(records.get(number))),
    ))
}

impl Peer for LittleFs {
    fn name(&self) -> &'static str {
        if self.group == 1 { "littlefs2" } else { "littlefs2, 100 for a sync" }
    }

    fn group(&self) -> u64 {
        self.group
    }

    fn memory(&self) -> (usize, usize) {
        let system = size_of::<Filesystem<'_, Simulated>>() + size_of::<Allocation<Simulated>>();
        let file = size_of::<File<'_, '_, Simulated>>() + size_of::<FileAllocation<Simulated>>();
        (system + file, 0)
    }

    fn format(&self, flash: &mut Simulated) -> Result<()> {
        said(Filesystem::format(flash))
    }

    fn append(&self, flash: &mut Simulated, records: Records, numbers: Range<u64>) -> Result<()> {
        let mut allocation = Filesystem::allocate();
        let system = said(Filesystem::mount(&mut allocation, flash))?;
        for first in numbers.step_by(self.group as usize) {
            write(&system, records, first..first + self.group)?;
        }
        Ok(())
    }

    fn read(&self, flash: &mut Simulated, visit: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut allocation = Filesystem::allocate();
        let system = said(Filesystem::mount(&mut allocation, flash))?;
        let mut paths = Vec::new();
        said(system.read_dir_and_then(littlefs2::path!("/"), |entries| {
            for entry in entries {
                let entry = entry?;
                if entry.file_type().is_file() {
                    paths.push(PathBuf::from(entry.path()));
                }
            }
            Ok(())
        }))?;
        paths.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        for path in paths {
            said(system.open_file_and_then(&path, |file| {
                let mut buffer = [0; BUFFER];
                // Records of 32 bytes: what is read back has no lengths.
                loop {
                    match file.read(&mut buffer[..32])? {
                        0 => return Ok(()),
                        len => visit(&buffer[..len]),
                    }
                }
            }))?;
        }
        Ok(())
    }
}
