//! The `interstice` command line.

fn main() -> std::process::ExitCode {
    interstice::cli::run()
}
