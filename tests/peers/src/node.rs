use std::path::Path;
use crate::Result;
#[derive(clap::Args)]
pub struct Options {}
pub fn run(_: Option<&Path>, _: &Options) -> Result<()> { Ok(()) }
