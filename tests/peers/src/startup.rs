use std::path::Path;
use crate::Result;
#[derive(clap::Args)]
pub struct Options {}
#[derive(clap::Subcommand)]
pub enum Child {A}
pub fn run(_: Option<&Path>, _: &Options) -> Result<()> { Ok(()) }
pub fn run_child(_: &Child) -> Result<()> { Ok(()) }
