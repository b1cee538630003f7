//! The log of a device -> a data directory.
//!
//! ```text
//! what came out of the device -> image of its flash -> log, checked -> data directory
//! ```
//!
//! The directory has the log's identity, its commits at their positions, and, where
//! the log of the device begins with a snapshot, that snapshot. So it is inspected,
//! re-executed and continued as any other.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use interstice_core::TxOffset;
use interstice_embedded::flash_log::{
    Damaged, Geometry, MountError, Mounted, ReplayError, Torn,
    image::{FoundLog, ImageLog, has_page, open_image},
};
use serde::Serialize;

use crate::{
    data_dir::{ContentHash, Unfinished, content_hash},
    database::ReadOnlyState,
    file_system::System,
    paths,
    text::hex,
};

mod copy;
mod error;
pub(crate) mod port;
mod stream;

pub use error::PullError;
pub use stream::{StreamError, Transfer, decode_stream};

use copy::{Copied, Copy};

/// What was pulled out of a device.
#[derive(Clone, Debug, Serialize)]
pub struct Pulled {
    /// The log's identity, in hexadecimal digits.
    pub log_id: String,
    /// Byte of the image at which the log's region begins.
    pub region_at: usize,
    /// Pages of the region.
    pub pages: u16,
    /// Bytes of a page.
    pub page_size: u32,
    /// Position of the snapshot that the log begins with.
    pub snapshot: Option<u64>,
    /// Commits behind it.
    pub commits: u64,
    /// The position of the next one.
    pub next_commit: u64,
    /// The state hash, in hexadecimal digits.
    pub state_hash: String,
    /// A record that was being written when power went, and is not in the log:
    /// page, and byte in it.
    pub torn: Option<(u16, u32)>,
    /// The newest record had one bit wrong, and was mended: page, and byte in it.
    pub corrected: Option<(u16, u32)>,
    /// Pages that are neither blank nor in the log: they were being erased or opened
    /// when power went.
    pub unfinished_pages: u16,
    /// A snapshot was not finished when power went, and is not in the log.
    pub dropped_snapshot: bool,
    /// What is lost of a damaged log, where what stands before the damage is enough.
    pub lost: Option<Lost>,
    /// Regions of the image that have a page of a log and cannot be mounted.
    pub left_aside: Vec<LeftAside>,
    /// Modules that the log has installed, earlier versions among them.
    pub modules: Vec<PulledModule>,
}

/// What is lost of a damaged log: everything from the damage on.
#[derive(Clone, Debug, Serialize)]
pub struct Lost {
    /// The page of the damage, counted in the region.
    pub page: u16,
    /// The byte in the page.
    pub byte: u32,
    /// What is wrong there.
    pub what: String,
    /// Commits, as far as the end of the log says.
    pub commits: u64,
}

/// A region that was left aside.
#[derive(Clone, Debug, Serialize)]
pub struct LeftAside {
    /// Byte of the image at which it begins.
    pub at: usize,
    /// Why it cannot be mounted.
    pub why: String,
}

/// A module that a device's log has installed.
#[derive(Clone, Debug, Serialize)]
pub struct PulledModule {
    /// Its name.
    pub name: String,
    /// SHA-256 of its file, in hexadecimal digits.
    pub content_hash: String,
    /// Whether it is the one that is installed at the end of the log.
    pub is_current: bool,
    /// Whether its file is in the directory. Without it the module can be read
    /// about, and its calls not be made or run again.
    pub has_file: bool,
}

/// The image of a flash in what came out of a device: those bytes, or, where they
/// are a stream, the flash that it carries.
///
/// # Errors
///
/// When it is a stream, and that is damaged or cut short.
pub fn image_of(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, usize), StreamError> {
    // A row of a log in an image may read as a line of a stream. A page's checksums
    // are in no text.
    if has_page(bytes) {
        return Ok((Cow::Borrowed(bytes), 0));
    }
    Ok(match decode_stream(bytes)? {
        Some(Transfer { flash, left_aside }) => (Cow::Owned(flash), left_aside),
        None => (Cow::Borrowed(bytes), 0),
    })
}

/// A log that is to be pulled: where to, and how.
#[derive(Debug)]
pub struct Pull<'a> {
    into: &'a Path,
    unfinished: Unfinished,
    modules: Vec<ModuleFile<'a>>,
    at: Option<usize>,
    keeps_before_damage: bool,
    interrupted: Option<&'a AtomicBool>,
}

#[derive(Debug)]
struct ModuleFile<'a> {
    path: &'a Path,
    wasm: Vec<u8>,
}

impl<'a> Pull<'a> {
    /// Into the directory `into`, where nothing is yet, with these module files, which
    /// are read now.
    ///
    /// # Errors
    ///
    /// When something is there, a module file cannot be read, or the directory cannot be
    /// made.
    pub fn into(into: &'a Path, modules: &'a [PathBuf]) -> Result<Self, PullError> {
        check_free(into)?;
        let read = |path: &'a PathBuf| {
            let wasm = fs::read(path).map_err(PullError::io("read", path))?;
            Ok(ModuleFile { path, wasm })
        };
        let modules = modules.iter().map(read).collect::<Result<_, PullError>>()?;
        let unfinished = Unfinished::begin(paths::beside(into, ".pulling"), into)?;
        let (at, keeps_before_damage, interrupted) = (None, false, None);
        Ok(Self { into, unfinished, modules, at, keeps_before_damage, interrupted })
    }

    /// The one whose region begins at this byte of the image.
    #[must_use]
    pub fn at(self, at: Option<usize>) -> Self {
        Self { at, ..self }
    }

    /// If the log is damaged, only what stands before the damage.
    #[must_use]
    pub fn keep_before_damage(self, keeps_before_damage: bool) -> Self {
        Self { keeps_before_damage, ..self }
    }

    /// Stops when this becomes true.
    #[must_use]
    pub fn until(self, interrupted: &'a AtomicBool) -> Self {
        Self { interrupted: Some(interrupted), ..self }
    }

    /// Makes the directory of the log in an image of a device's flash. It appears
    /// there whole, or not at all.
    ///
    /// # Errors
    ///
    /// See [`PullError`].
    pub fn run(self, image: &[u8]) -> Result<Pulled, PullError> {
        check_free(self.into)?;
        let found = open_image(image, self.at)?;
        let pulled = self.build(found, &self.unfinished)?;
        self.unfinished.publish(&System, self.into)?;
        Ok(pulled)
    }

    fn build(&self, found: FoundLog, to: &Unfinished) -> Result<Pulled, PullError> {
        let FoundLog { mut log, mounted, at, left_aside } = found;
        let Geometry { page_size, pages, .. } = log.geometry();
        let (header, end) = (log.header(), log.next_offset());
        let (Copied { state, first, modules }, damaged) = self.copy(&mut log, to.path())?;
        for ModuleFile { path, wasm } in &self.modules {
            let hash = content_hash(wasm);
            if !modules.iter().any(|(_, installed)| *installed == hash) {
                return Err(PullError::Module { path: path.to_path_buf() });
            }
            to.store_module(wasm)?;
        }
        let is_current =
            |hash: &ContentHash| state.modules().iter().any(|module| module.content_hash() == hash);
        let has_file =
            |hash: &ContentHash| self.modules.iter().any(|file| content_hash(&file.wasm) == *hash);
        let modules = modules.iter().map(|(name, hash)| PulledModule {
            name: name.clone(),
            content_hash: hex(hash),
            is_current: is_current(hash),
            has_file: has_file(hash),
        });
        let pulled = Pulled {
            log_id: hex(&header.log_id),
            region_at: at,
            pages,
            page_size,
            snapshot: (first > TxOffset(0)).then_some(first.0),
            commits: state.next_offset().0 - first.0,
            next_commit: state.next_offset().0,
            state_hash: format!("{:016x}", state.state_hash()),
            torn: place(mounted, |mounted| mounted.torn),
            corrected: place(mounted, |mounted| mounted.corrected),
            unfinished_pages: mounted.unfinished_pages,
            dropped_snapshot: mounted.dropped_snapshot,
            lost: damaged.map(|damaged| Lost {
                page: damaged.page,
                byte: damaged.place,
                what: damaged.what.to_string(),
                commits: end.0.saturating_sub(state.next_offset().0),
            }),
            left_aside: left_aside
                .iter()
                .map(|(at, why)| LeftAside { at: *at, why: why.to_string() })
                .collect(),
            modules: modules.collect(),
        };
        let opened = ReadOnlyState::open(to.path()).map_err(PullError::Verify)?;
        let same = opened.state().state_hash() == state.state_hash()
            && opened.state().next_offset() == state.next_offset();
        if same { Ok(pulled) } else { Err(PullError::Differs) }
    }

    /// Copies the log; says where it is damaged, where what stands before that is
    /// enough.
    fn copy(&self, log: &mut ImageLog, to: &Path) -> Result<(Copied, Option<Damaged>), PullError> {
        let mut copy = Copy::new(to, log.header());
        let is_interrupted = || self.interrupted.is_some_and(|it| it.load(Ordering::Relaxed));
        let replayed = log.replay(&mut |entry| match is_interrupted() {
            true => Err(PullError::Interrupted),
            false => copy.take(entry),
        });
        let damaged = match replayed {
            Ok(()) => None,
            Err(ReplayError::Refused(error)) => return Err(error),
            Err(ReplayError::Log(MountError::Damaged(damaged)))
                if self.keeps_before_damage && copy.has_begun() =>
            {
                Some(damaged)
            }
            Err(ReplayError::Log(error)) => return Err(PullError::Read(error)),
            Err(_) => return Err(PullError::Differs),
        };
        Ok((copy.finish()?, damaged))
    }
}

fn check_free(into: &Path) -> Result<(), PullError> {
    match into.symlink_metadata() {
        Ok(_) => Err(PullError::Exists { path: into.to_owned() }),
        Err(_) => Ok(()),
    }
}

fn place(mounted: Mounted, which: impl Fn(Mounted) -> Option<Torn>) -> Option<(u16, u32)> {
    which(mounted).map(|torn| (torn.page, torn.place))
}
