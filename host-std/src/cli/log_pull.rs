use std::{
    fs::File,
    io::Write,
    iter,
    path::{Path, PathBuf},
};

use interstice_embedded::flash_log::{MountError, image::ImageError};

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    interrupt,
    open::unfinished_failure,
    output::{self, Format},
    style,
};
use crate::{
    device_log::{self, LeftAside, Lost, Pull, PullError, Pulled, StreamError},
    paths,
};

mod source;

/// Make a data directory of a device's log.
///
/// FROM is a file: the image of the device's flash, or of the part with the log, as
/// a programmer or debugger reads it out; or what the firmware's `log` command
/// has written. Or it is `-`: the same, on standard input. Or a device to read it
/// from, as /dev/mtd0ro. Or a serial port, as /dev/ttyACM0, where the firmware is
/// asked by the line `log`; set the port up first:
/// `stty -F /dev/ttyACM0 115200 raw -echo`. Nothing else is written to.
///
/// Every record and page is checked. The new directory holds the device's log
/// with its identity, and the snapshot that it begins with: look with
/// `log-inspect` and `state`, run it again with `replay-check`, and go on from
/// there with `call`, given the module's file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the log comes from.
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// The data directory to make. Nothing may be there yet.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// The file of a module that the device runs, so that it can be called and
    /// re-executed here, or of an earlier version that it ran. May be given again.
    #[arg(long, value_name = "FILE")]
    module: Vec<PathBuf>,
    /// Where the log's region begins in the image, if it has several.
    #[arg(long, value_name = "BYTE", value_parser = byte)]
    at: Option<usize>,
    /// If the log is damaged, take what stands before the damage; before the page in
    /// front, where the beginning of a page is damaged. Everything behind it is lost to
    /// the new directory: keep the image.
    #[arg(long)]
    keep_before_damage: bool,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        self.run_with(source::read)
    }

    fn run_with(self, read: impl FnOnce(&Path) -> Result<Vec<u8>, Failure>) -> Outcome {
        // A transfer takes minutes: what is wrong already is told before.
        let pull = Pull::into(&self.output, &self.module).map_err(|it| self.failure(&it))?;
        let bytes = read(&self.from)?;
        let pulled = self.pull(pull, &bytes);
        if pulled.as_ref().map_or(true, |pulled| pulled.lost.is_some()) {
            self.keep(&bytes);
        }
        let pulled = pulled?;
        output::answer(self.format, &pulled, |out| self.write(out, &pulled))?;
        self.note(&pulled);
        Ok(Exit::Good)
    }

    fn pull(&self, pull: Pull<'_>, bytes: &[u8]) -> Result<Pulled, Failure> {
        let (image, left_aside) =
            device_log::image_of(bytes).map_err(|error| self.stream_failure(&error))?;
        if left_aside > 0 {
            let others = style::count(left_aside as u64, "other transfer");
            style::note(format!("{others} in it left aside: the last whole one is taken"));
        }
        let pull = pull.at(self.at).keep_before_damage(self.keep_before_damage);
        let pulled = pull.until(interrupt::watch()).run(&image);
        pulled.map_err(|error| self.failure(&error))
    }

    /// Keeps what cannot be read once more: a transfer takes minutes, and a device may
    /// not be there any more.
    fn keep(&self, bytes: &[u8]) {
        if source::is_lasting(&self.from) {
            return;
        }
        // What came before, in another attempt, stays.
        let numbered = (2u32..).map(|number| format!(".received-{number}"));
        let names = iter::once(".received".to_owned()).chain(numbered);
        let mut paths = names.map(|name| paths::beside(&self.output, &name));
        let free = paths.find(|path| path.symlink_metadata().is_err());
        let path = free.unwrap_or_else(|| self.output.clone());
        let made = File::create_new(&path).and_then(|mut file| file.write_all(bytes));
        let path = style::shell_path(&path);
        style::note(match made {
            Ok(()) => format!("what came is kept: log-pull {path} reads it again"),
            Err(error) => format!("what came could not be kept in {path}: {error}"),
        });
    }

    fn write(&self, out: &mut impl Write, pulled: &Pulled) -> Result<(), Failure> {
        let Pulled { pages, page_size, region_at, .. } = pulled;
        writeln!(out, "{} now holds the log of the device", self.output.display())?;
        writeln!(out, "log id      {}", pulled.log_id)?;
        write!(out, "region      {pages} pages of {page_size} bytes")?;
        match region_at {
            0 => writeln!(out)?,
            at => writeln!(out, ", from byte {at} on")?,
        }
        match pulled.snapshot {
            Some(position) => writeln!(
                out,
                "commits     {}, behind a snapshot of the state before commit {position}",
                pulled.commits
            )?,
            None => writeln!(out, "commits     {}, from the first on", pulled.commits)?,
        }
        writeln!(out, "state hash  {}", pulled.state_hash)?;
        if let Some((page, byte)) = pulled.torn {
            writeln!(
                out,
                "torn        a record at page {page}, byte {byte}: it was being written when power went"
            )?;
        }
        if let Some((page, byte)) = pulled.corrected {
            writeln!(out, "mended      one bit of the newest record, at page {page}, byte {byte}")?;
        }
        if pulled.unfinished_pages > 0 {
            writeln!(
                out,
                "unfinished  {} of the pages: being erased or opened when power went",
                pulled.unfinished_pages
            )?;
        }
        if pulled.dropped_snapshot {
            writeln!(out, "dropped     a snapshot that was not finished when power went")?;
        }
        if let Some(Lost { page, byte, what, commits }) = &pulled.lost {
            writeln!(out, "damaged     page {page}, byte {byte}: {what}")?;
            writeln!(out, "lost        {}", style::count(*commits, "commit"))?;
        }
        for module in &pulled.modules {
            let version = if module.is_current { "" } else { ", an earlier version" };
            writeln!(out, "module      {}{version}", module.name)?;
        }
        Ok(())
    }

    /// Says what is missing.
    fn note(&self, pulled: &Pulled) {
        if let Some(Lost { commits, .. }) = &pulled.lost {
            let commits = style::count(*commits, "commit");
            style::note(format!(
                "the log is damaged: {commits} not taken; keep what was read from {}",
                source::name(&self.from)
            ));
        }
        for LeftAside { at, why } in &pulled.left_aside {
            style::note(format!("a region from byte {at} on is left aside: {why}"));
        }
        for module in pulled.modules.iter().filter(|module| !module.has_file) {
            let name = &module.name;
            style::note(match module.is_current {
                true => format!(
                    "the file of `{name}` is not here: its rows can be read, and nothing can be \
                     called or re-executed; pull with --module FILE, or run `interstice install FILE`"
                ),
                false => format!(
                    "the file of an earlier version of `{name}` is not here, and its calls cannot \
                     be re-executed; pull with --module FILE too, of the file with SHA-256 {}",
                    module.content_hash
                ),
            });
        }
    }

    fn stream_failure(&self, error: &StreamError) -> Failure {
        let message = format!("{}: {error}", source::name(&self.from));
        match error {
            StreamError::Cut { .. } => Failure::incomplete(message),
            _ => Failure::bad(message),
        }
        .with_help("transfer it once more")
    }

    fn failure(&self, error: &PullError) -> Failure {
        let bad = || Failure::bad(format!("{}: {error}", source::name(&self.from)));
        let again = "read the flash out once more; if it says the same, keep the image";
        match error {
            PullError::Image(ImageError::Several(_) | ImageError::NotThere { .. }) => {
                bad().with_help("say where the log begins, with --at BYTE")
            }
            PullError::Image(ImageError::Version { .. }) => {
                bad().with_help("use the version of interstice that the firmware was built with")
            }
            PullError::Read(MountError::Damaged(_)) if !self.keep_before_damage => bad().with_help(
                format!("{again}, and take what stands before the damage: --keep-before-damage"),
            ),
            PullError::Read(MountError::Damaged(_)) => bad()
                .with_help("nothing that stands before the damage can be taken; keep the image"),
            PullError::Image(_)
            | PullError::Read(_)
            | PullError::Snapshot(_)
            | PullError::Replay(_) => bad().with_help(again),
            PullError::Module { .. } => Failure::usage(error).with_help(
                "build the version that the device runs, or leave --module out; nothing was written",
            ),
            PullError::Exists { .. } => {
                Failure::usage(error).with_help("give another directory with --output")
            }
            PullError::Unfinished(error) => unfinished_failure(error),
            PullError::Interrupted => {
                Failure::incomplete(error).with_help("nothing is left of it; pull again")
            }
            PullError::Io { source, .. } => {
                Failure::incomplete(error).with_io_help(source.kind())
            }
            _ => Failure::incomplete(error),
        }
    }
}

/// A byte of an image: decimal, or hexadecimal behind `0x`, as addresses are.
fn byte(text: &str) -> Result<usize, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "a number, or one in hexadecimal behind 0x".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_arguments_is_told_before_anything_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let args = |output: &str, module: &str| Args {
            from: "port".into(),
            output: folder.path().join(output),
            module: vec![folder.path().join(module)],
            at: None,
            keep_before_damage: false,
            format: Format::Text,
        };
        std::fs::write(folder.path().join("good.wasm"), "").unwrap();
        std::fs::create_dir(folder.path().join("there")).unwrap();
        for args in
            [args("there", "good.wasm"), args("new", "missing.wasm"), args("no/new", "good.wasm")]
        {
            let outcome = args.run_with(|_| panic!("the port is read"));
            assert!(matches!(outcome, Err(Failure::Said(_))));
        }
    }

    #[test]
    fn what_cannot_be_read_once_more_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let args = |from: PathBuf| Args {
            from,
            output: folder.path().join("data"),
            module: Vec::new(),
            at: None,
            keep_before_damage: false,
            format: Format::Text,
        };
        let cut = b"log 4096 4096\nerased 0 512\n".to_vec();
        let kept = folder.path().join("data.received");
        let file = folder.path().join("file");
        std::fs::write(&file, &cut).unwrap();
        assert!(args(file).run_with(|_| Ok(cut.clone())).is_err());
        assert!(!kept.exists(), "the file is there");
        assert!(args("-".into()).run_with(|_| Ok(cut.clone())).is_err());
        assert_eq!(std::fs::read(kept).unwrap(), cut);
    }

    #[test]
    fn an_address_is_decimal_or_hexadecimal() {
        assert_eq!(byte("4096"), Ok(4096));
        assert_eq!(byte("0x1000"), Ok(4096));
        assert!(byte("x").is_err());
    }
}
