use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    output::{self, Format},
    progress, style,
};
use crate::device_log::{self, PullError, Pulled, StreamError};

/// Make a data directory of a device's log.
///
/// FROM is a file: the image of the device's flash, or of the part with the log, as
/// a programmer or debugger reads it out; or what the firmware's `log` command
/// has written. Or it is `-`: the same, on standard input. Or a serial port, as
/// /dev/ttyACM0, where the firmware is asked by the line `log`; set the port up
/// first: `stty -F /dev/ttyACM0 115200 raw -echo`.
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
    /// re-executed here. May be given again.
    #[arg(long, value_name = "FILE")]
    module: Vec<PathBuf>,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let bytes = read(&self.from)?;
        if bytes.is_empty() {
            return Err(Failure::incomplete(format!("{}: nothing came from it", self.name()))
                .with_help("the image of a flash, or what `log` has written, was to come"));
        }
        let decoded =
            device_log::decode_stream(&bytes).map_err(|error| self.stream_failure(&error))?;
        let image = decoded.unwrap_or(bytes);
        let pulled = device_log::pull(&image, &self.output, &self.module)
            .map_err(|error| self.failure(&error))?;
        output::answer(self.format, &pulled, |out| self.write(out, &pulled))?;
        Ok(Exit::Good)
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
        for module in &pulled.modules {
            writeln!(out, "module      {}", module.name)?;
            if !module.has_file {
                style::note(format!(
                    "the file of `{}` is not here: its rows can be read, and nothing can be called \
                     or re-executed; pull with --module FILE, or run `interstice install FILE`",
                    module.name
                ));
            }
        }
        Ok(())
    }

    /// What messages call it.
    fn name(&self) -> String {
        match self.from == Path::new("-") {
            true => "standard input".to_owned(),
            false => self.from.display().to_string(),
        }
    }

    fn stream_failure(&self, error: &StreamError) -> Failure {
        let message = format!("{}: {error}", self.name());
        match error {
            StreamError::Cut { .. } => Failure::incomplete(message),
            _ => Failure::bad(message),
        }
        .with_help("transfer it once more")
    }

    fn failure(&self, error: &PullError) -> Failure {
        let message = format!("{}: {error}", self.name());
        match error {
            PullError::Image(_)
            | PullError::Read(_)
            | PullError::Snapshot(_)
            | PullError::Replay(_) => Failure::bad(message)
                .with_help("read the flash out once more; if it says the same, keep the image"),
            PullError::Module { .. } | PullError::Exists { .. } => Failure::usage(error),
            _ => Failure::incomplete(error),
        }
    }
}

/// Everything that comes from there.
fn read(from: &Path) -> Result<Vec<u8>, Failure> {
    if from == Path::new("-") {
        return read_all(io::stdin().lock(), None).map_err(Failure::io("read", from));
    }
    let failed = || Failure::io("read", from);
    let metadata = std::fs::metadata(from).map_err(failed())?;
    if is_port(&metadata) {
        let port = OpenOptions::new().read(true).write(true).open(from);
        return port.and_then(|mut port| ask(&mut port)).map_err(failed());
    }
    let file = File::open(from).map_err(failed())?;
    read_all(file, Some(metadata.len())).map_err(failed())
}

#[cfg(unix)]
fn is_port(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    metadata.file_type().is_char_device()
}

#[cfg(not(unix))]
fn is_port(_: &std::fs::Metadata) -> bool {
    false
}

/// Asks the firmware at a serial port for its log, and reads up to its end. What
/// comes before the log is an answer to something else: to what was in the line
/// already, which the first line feed ends.
fn ask(port: &mut (impl Read + Write)) -> io::Result<Vec<u8>> {
    port.write_all(b"\nlog\n")?;
    let bar = progress::transfer(None);
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let (mut line, mut is_begun, mut refusals) = (0, false, 0);
    loop {
        let len = port.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..len]);
        bar.set_position(bytes.len() as u64);
        let mut is_over = len == 0;
        while let Some(end) = bytes[line..].iter().position(|byte| *byte == b'\n') {
            let text = &bytes[line..line + end];
            is_begun |= text.starts_with(b"log ");
            refusals += u32::from(text.starts_with(b"err "));
            // One may be for the line that was there before.
            is_over |= match is_begun {
                true => text.starts_with(b"end ") || text.starts_with(b"err "),
                false => refusals > 1,
            };
            line += end + 1;
        }
        if is_over {
            bar.finish_and_clear();
            return Ok(bytes);
        }
    }
}

fn read_all(mut from: impl Read, len: Option<u64>) -> io::Result<Vec<u8>> {
    let bar = progress::transfer(len);
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        bar.set_position(bytes.len() as u64);
    }
    bar.finish_and_clear();
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that answers to a line when it is asked to read on.
    struct Port<'a> {
        answers: &'a [&'a [u8]],
        asked: Vec<u8>,
    }

    impl Read for Port<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            // A port waits for ever where nothing comes.
            let (next, rest) = self.answers.split_first().expect("it reads no further");
            self.answers = rest;
            into[..next.len()].copy_from_slice(next);
            Ok(next.len())
        }
    }

    impl Write for Port<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.asked.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn asked(answers: &[&[u8]]) -> Vec<u8> {
        let mut port = Port { answers, asked: Vec::new() };
        let bytes = ask(&mut port).unwrap();
        assert_eq!(port.asked, b"\nlog\n");
        assert!(port.answers.is_empty(), "it reads to the end");
        bytes
    }

    #[test]
    fn a_port_is_read_to_the_end_of_the_log() {
        let log: &[&[u8]] = &[b"log 8 4\n0 AAA", b"A 1234\n", b"end ", b"2 5678\n"];
        assert_eq!(asked(log), log.concat());
        // The line before was not empty, or was: the firmware does not know it.
        let answered = [&[b"err commands are r, status, cycles\n".as_slice()], log].concat();
        assert_eq!(asked(&answered), answered.concat());
    }

    #[test]
    fn a_port_that_refuses_is_not_waited_for() {
        asked(&[b"err commands are none\nerr com", b"mands are none\n"]);
        asked(&[b"log 8 4\n", b"err flash\n"]);
        asked(&[b"ready\n", b""]);
    }
}
