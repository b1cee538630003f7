//! The module files that a log needs: those in force to be called, the earlier
//! ones to be re-executed.

use interstice_core::{
    CommittedState, InstalledModule, TxOffset,
    abi::schema::ModuleSchema,
    log::commit::{Body, Commit},
};

use crate::{
    data_dir::{ContentHash, DataDir, DataDirError},
    database::{Go, History, OpenError},
};

/// A version of a module that was installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModuleFile {
    pub(crate) module: String,
    pub(crate) content_hash: ContentHash,
    /// The commit that installed it; `None` where a snapshot has it.
    pub(crate) commit: Option<TxOffset>,
}

/// Every version that a history installs.
#[derive(Debug, Default)]
pub(crate) struct ModuleFiles(Vec<ModuleFile>);

impl ModuleFiles {
    /// Those of a data directory's history, and the state at its end.
    pub(crate) fn of(dir: &DataDir) -> Result<(Self, CommittedState), OpenError> {
        let mut history = History::open(dir, TxOffset(0))?;
        let mut files = Self::behind(history.state());
        history.visit(|_, offset, commit| {
            files.see(offset, commit);
            Ok::<Go, OpenError>(Go::On)
        })?;
        Ok((files, history.state().clone()))
    }

    /// Begins with what is installed in the state that the history goes on behind.
    pub(crate) fn behind(state: &CommittedState) -> Self {
        let of_module = |module: &InstalledModule| ModuleFile {
            module: module.name().to_owned(),
            content_hash: *module.content_hash(),
            commit: None,
        };
        Self(state.modules().iter().map(of_module).collect())
    }

    /// Takes the next commit.
    pub(crate) fn see(&mut self, offset: TxOffset, commit: &[u8]) {
        let Ok(Commit { body: Body::Install { content_hash, schema, .. }, .. }) =
            Commit::decode(commit)
        else {
            return;
        };
        let Ok(schema) = ModuleSchema::decode(schema) else { return };
        if self.version(content_hash).is_none() {
            let (module, content_hash) = (schema.module, *content_hash);
            self.0.push(ModuleFile { module, content_hash, commit: Some(offset) });
        }
    }

    /// The version with this content.
    pub(crate) fn version(&self, content_hash: &ContentHash) -> Option<&ModuleFile> {
        self.0.iter().find(|file| file.content_hash == *content_hash)
    }

    /// Those whose files are missing or changed, and what is wrong with each.
    pub(crate) fn wrong(&self, dir: &DataDir) -> impl Iterator<Item = (&ModuleFile, DataDirError)> {
        self.0.iter().filter_map(|file| {
            let loaded = dir.load_module(&file.module, &file.content_hash);
            loaded.err().map(|error| (file, error))
        })
    }
}
