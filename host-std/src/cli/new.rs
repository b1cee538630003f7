use super::failure::Outcome;
/// Demo.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}
impl Args {
    pub(super) fn run(self) -> Outcome {
        Ok(super::exit::Exit::Good)
    }
}
