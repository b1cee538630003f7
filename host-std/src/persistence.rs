//! How a database keeps what it is given: in code, as flags, or in the file
//! `interstice.toml` of a data directory.
//!
//! ```
//! use interstice::persistence::{Durability, PersistenceConfig};
//!
//! let config = PersistenceConfig::parse(r#"
//!     durability = "every-commit"   # or "group" (the default), or "system"
//!     segment_bytes = 1048576
//!     snapshots_kept = 3
//! "#)?;
//! assert_eq!(config.durability, Durability::EveryCommit);
//! assert_eq!(config.snapshot_log_bytes, PersistenceConfig::default().snapshot_log_bytes);
//! # Ok::<(), interstice::persistence::ConfigError>(())
//! ```

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use serde::Deserialize;
use thiserror::Error;

/// When a commit counts as durable, so that its caller gets an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// After a sync of its own.
    EveryCommit,
    /// After a sync that it may share with others.
    #[default]
    Group,
    /// When it is handed to the system, which writes it when it likes. It
    /// survives the end of the process; a power cut may take the last seconds.
    System,
}

/// How a database keeps what it is given.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PersistenceConfig {
    /// When callers get an answer.
    pub durability: Durability,
    /// With [`Durability::Group`]: sync when the oldest commit has waited this
    /// long, in milliseconds.
    pub group_delay_ms: u64,
    /// With [`Durability::Group`]: sync when this many bytes wait.
    pub group_bytes: u64,
    /// Bytes of a segment of the log, at most, unless one commit takes more.
    pub segment_bytes: NonZeroU64,
    /// Take a snapshot when the log has grown by this many bytes since the
    /// last; 0 for never.
    pub snapshot_log_bytes: u64,
    /// Take a snapshot at the first commit this many seconds after the last
    /// one; 0 for never.
    pub snapshot_seconds: u64,
    /// Snapshots that are kept.
    pub snapshots_kept: NonZeroU64,
    /// Remove a segment when more than this many are newer; 0 for never.
    ///
    /// Whatever the retention says, what is left begins with a snapshot, so
    /// that every commit in it can be replayed, and nothing goes that the kept
    /// snapshots need. So more may be left than is asked for, and two snapshots
    /// more are kept: the one at the beginning, and the next one.
    pub retain_segments: u64,
    /// Remove a segment when those that are newer have this many bytes; 0 for
    /// never.
    pub retain_bytes: u64,
    /// Remove a segment when it was written more than this many hours ago; 0
    /// for never.
    pub retain_hours: u64,
}

impl Default for PersistenceConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Group,
            group_delay_ms: 20,
            group_bytes: 1 << 20,
            segment_bytes: const { NonZeroU64::new(32 << 20).unwrap() },
            snapshot_log_bytes: 128 << 20,
            snapshot_seconds: 0,
            snapshots_kept: const { NonZeroU64::new(2).unwrap() },
            retain_segments: 0,
            retain_bytes: 0,
            retain_hours: 0,
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
#[error("{}{source}", path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default())]
pub struct ConfigError {
    pub(crate) path: Option<PathBuf>,
    source: Box<toml::de::Error>,
}

impl PersistenceConfig {
    /// Reads a configuration in TOML. What it does not say is as in
    /// [`Default`].
    ///
    /// # Errors
    ///
    /// When it is not TOML, or has a key or value that means nothing; with the
    /// place.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|source| ConfigError { path: None, source: Box::new(source) })
    }

    /// How long the oldest commit of a group waits at the most.
    pub fn group_delay(&self) -> Duration {
        Duration::from_millis(self.group_delay_ms)
    }

    /// Whether segments are ever removed.
    pub(crate) fn removes_segments(&self) -> bool {
        [self.retain_segments, self.retain_bytes, self.retain_hours].iter().any(|limit| *limit > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_by_default() {
        assert_eq!(PersistenceConfig::parse("").unwrap(), PersistenceConfig::default());
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_place() {
        for (text, said) in [
            ("durabilty = \"group\"", "unknown field `durabilty`"),
            ("durability = \"none\"", "unknown variant `none`"),
            ("segment_bytes = 0", "nonzero"),
            ("group_bytes = -1", "invalid value"),
            ("snapshot_seconds", "expected"),
        ] {
            let error = PersistenceConfig::parse(text).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("line 1"), "{text}: {error}");
        }
    }
}
