//! FROM -> bytes: a file, standard input, or what a device at a port answers.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Read},
    path::Path,
};

use super::super::{failure::Failure, progress, style};
use crate::device_log::port::{self, Answer, SystemPort};

/// Bytes of the longest image or stream that is read: a flash with a log is far
/// smaller, and what has no end is to be told before the memory is full.
const LEN_MAX: u64 = 1 << 30;

/// What messages call it.
pub(super) fn name(from: &Path) -> String {
    match from == Path::new("-") {
        true => "standard input".to_owned(),
        false => from.display().to_string(),
    }
}

/// Whether it can be read again: a file.
pub(super) fn is_lasting(from: &Path) -> bool {
    from != Path::new("-") && from.is_file()
}

/// Everything that comes from there.
pub(super) fn read(from: &Path) -> Result<Vec<u8>, Failure> {
    let read = if from == Path::new("-") {
        read_all(io::stdin().lock(), None, LEN_MAX)
    } else {
        let failed = || Failure::io("read", from);
        let file = File::open(from).map_err(failed())?;
        if is_port(&file) {
            // The first one stays open: a port that is closed may reset the device.
            let port = OpenOptions::new().read(true).write(true).open(from);
            return ask(port.map_err(failed())?, from);
        }
        let metadata = file.metadata().map_err(failed())?;
        read_all(file, metadata.is_file().then_some(metadata.len()), LEN_MAX)
    };
    match read.map_err(Failure::io("read", from))? {
        Some(bytes) if bytes.is_empty() => {
            Err(Failure::incomplete(format!("{}: nothing came from it", name(from)))
                .with_help("the image of a flash, or what `log` has written, was to come"))
        }
        Some(bytes) => Ok(bytes),
        None => {
            let max = style::bytes(LEN_MAX);
            Err(Failure::incomplete(format!("{}: more than {max} come from it", name(from)))
                .with_help("read the part of the flash with the log out to a file, and pull that"))
        }
    }
}

/// Whether something is to be asked, and not only read: a serial port. What else
/// has no end, or is a flash itself, must never be written to.
fn is_port(file: &File) -> bool {
    file.is_terminal()
}

/// Asks the device at a port.
fn ask(port: File, from: &Path) -> Result<Vec<u8>, Failure> {
    let bar = progress::transfer(None);
    let answer = SystemPort::start(port)
        .and_then(|mut port| port::ask(&mut port, |count| bar.set_position(count)));
    bar.finish_and_clear();
    let name = name(from);
    let set_up = format!(
        "set the port up, as by `stty -F {} 115200 raw -echo`, and see that nobody else reads it",
        style::shell_path(from)
    );
    let (message, help) = match answer.map_err(Failure::io("read", from))? {
        Answer::Log(bytes) => return Ok(bytes),
        Answer::Refused(why) => (
            format!("{name}: the device refuses `log`: {why}"),
            "its firmware has to know the command `log`, as the weather station does".to_owned(),
        ),
        Answer::Other => (format!("{name}: what comes from it is no log"), set_up),
        Answer::Nothing => (format!("{name}: the device does not answer"), set_up),
    };
    Err(Failure::incomplete(message).with_help(help))
}

/// `None`: there is more than `max`.
fn read_all(mut from: impl Read, len: Option<u64>, max: u64) -> io::Result<Option<Vec<u8>>> {
    if len.is_some_and(|len| len > max) {
        return Ok(None);
    }
    let bar = progress::transfer(len);
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    let is_all = loop {
        match from.read(&mut chunk) {
            Ok(0) => break true,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if bytes.len() as u64 > max {
            break false;
        }
        bar.set_position(bytes.len() as u64);
    };
    bar.finish_and_clear();
    Ok(is_all.then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn only_a_terminal_is_a_port() {
        assert!(!is_port(&File::open("/dev/null").unwrap()));
        assert!(!is_port(&File::open("/dev/zero").unwrap()));
        assert!(is_port(&File::open("/dev/ptmx").unwrap()));
    }

    #[test]
    fn what_has_no_end_is_not_read_to_it() {
        assert_eq!(read_all(io::repeat(0), None, 100_000).unwrap(), None);
        assert_eq!(read_all(io::repeat(0), Some(100_001), 100_000).unwrap(), None);
        let whole = read_all(io::repeat(7).take(100_000), None, 100_000).unwrap();
        assert_eq!(whole, Some(vec![7; 100_000]));
    }
}
