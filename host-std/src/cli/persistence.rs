//! How a command that writes keeps what it writes.

use crate::persistence::{Durability, PersistenceConfig};

/// How commits are kept; what is not said is as `interstice.toml` in the data
/// directory says, or by default. Segments, snapshots and retention have no
/// flags: they are for that file.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Persistence (instead of what interstice.toml says)")]
pub(super) struct PersistenceArgs {
    /// When a call is acknowledged. Key `durability`, without it group.
    #[arg(long, value_enum, value_name = "WHEN")]
    durability: Option<DurabilityArg>,
    /// Let a call wait no longer than this for a sync that it shares. Key
    /// `group_delay_ms`, without it 20.
    #[arg(long, value_name = "MILLISECONDS")]
    sync_delay: Option<u64>,
    /// Sync when this many bytes of commits wait. Key `group_bytes`, without it
    /// 1048576.
    #[arg(long, value_name = "BYTES")]
    sync_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum DurabilityArg {
    /// When it is on the disk, by a sync of its own.
    EveryCommit,
    /// When it is on the disk, by a sync that it may share with other calls.
    Group,
    /// When the operating system has it, which writes it when it likes: a power
    /// cut may undo it, the end of the process does not.
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

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::*;

    #[test]
    fn help_names_the_keys_and_their_defaults() {
        let mut command = PersistenceArgs::augment_args(Command::new("test").term_width(1000));
        let help = command.render_long_help().to_string();
        let PersistenceConfig { durability, group_delay_ms, group_bytes, .. } =
            PersistenceConfig::default();
        assert_eq!(durability, Durability::Group);
        for said in [
            "Key `durability`, without it group".to_owned(),
            format!("Key `group_delay_ms`, without it {group_delay_ms}"),
            format!("Key `group_bytes`, without it {group_bytes}"),
        ] {
            assert!(help.contains(&said), "{said:?} is not in\n{help}");
        }
        let keys = "durability = \"group\"\ngroup_delay_ms = 20\ngroup_bytes = 1048576";
        assert_eq!(PersistenceConfig::parse(keys).unwrap(), PersistenceConfig::default());
    }
}
