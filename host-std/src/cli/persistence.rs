//! How a command that writes keeps what it writes.

use crate::persistence::{Durability, PersistenceConfig};

/// How commits are kept; what is not said is as `interstice.toml` in the data
/// directory says, or by default.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Persistence")]
pub(super) struct PersistenceArgs {
    /// When a call is acknowledged: after a sync of its own, after one that it
    /// may share, or when the system has it (which a power cut may undo).
    #[arg(long, value_enum, value_name = "WHEN")]
    durability: Option<DurabilityArg>,
    /// Let calls wait for each other's sync no longer than this.
    #[arg(long, value_name = "MILLISECONDS")]
    sync_delay: Option<u64>,
    /// Sync when this many bytes wait.
    #[arg(long, value_name = "BYTES")]
    sync_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum DurabilityArg {
    EveryCommit,
    Group,
    System,
}

impl PersistenceArgs {
    /// The configuration `config`, with what the command line says instead.
    pub(super) fn over(&self, config: &PersistenceConfig) -> PersistenceConfig {
        let durability = self.durability.map(|durability| match durability {
            DurabilityArg::EveryCommit => Durability::EveryCommit,
            DurabilityArg::Group => Durability::Group,
            DurabilityArg::System => Durability::System,
        });
        PersistenceConfig {
            durability: durability.unwrap_or(config.durability),
            group_delay_ms: self.sync_delay.unwrap_or(config.group_delay_ms),
            group_bytes: self.sync_bytes.unwrap_or(config.group_bytes),
            ..config.clone()
        }
    }
}
