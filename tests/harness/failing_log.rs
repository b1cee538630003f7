//! A log whose storage fails when told to.

use std::{error::Error, fmt};

use interstice_core::{
    TxOffset,
    log::{Log, MemoryLog},
};

/// A log in memory that takes so many appends and syncs, and fails from then on.
#[derive(Clone, Debug)]
pub struct FailingLog {
    inner: MemoryLog,
    appends: usize,
    syncs: usize,
}

/// What a [`FailingLog`] fails with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the storage is broken")
    }
}

impl Error for Broken {}

impl FailingLog {
    /// Behind `inner`, a storage that takes `appends` appends and `syncs`
    /// syncs.
    pub fn new(inner: MemoryLog, appends: usize, syncs: usize) -> Self {
        Self { inner, appends, syncs }
    }

    /// What the storage took.
    pub fn inner(&self) -> &MemoryLog {
        &self.inner
    }

    /// Takes so many more appends and syncs.
    pub fn mend(&mut self, appends: usize, syncs: usize) {
        (self.appends, self.syncs) = (appends, syncs);
    }
}

impl Log for FailingLog {
    type Error = Broken;

    fn append(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), Broken> {
        self.appends = self.appends.checked_sub(1).ok_or(Broken)?;
        match self.inner.append(offset, commit) {
            Ok(()) => Ok(()),
            Err(never) => match never {},
        }
    }

    fn sync(&mut self) -> Result<(), Broken> {
        self.syncs = self.syncs.checked_sub(1).ok_or(Broken)?;
        Ok(())
    }
}
