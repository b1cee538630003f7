//! A board in QEMU: its serial line, its log lines, and its end.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Child, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::board::Board;

/// A board that runs. Dropping it is pulling the plug.
pub(crate) struct Emulator {
    child: Child,
    uart: BufReader<UnixStream>,
    log: Option<JoinHandle<Vec<u8>>>,
}

/// Whether QEMU counts instructions, which makes it slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    Host,
    Instructions,
}

/// Longer than any answer takes: a board that hangs is found, not waited for.
const ANSWER_MAX: Duration = Duration::from_secs(120);

impl Emulator {
    /// Starts a board whose flash is in `folder`.
    pub(crate) fn start(board: Board, image: &Path, folder: &Path, clock: Clock) -> Result<Self> {
        // QEMU connects to us, so that nothing that the board says is lost.
        let socket = folder.join("uart");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).context("the socket of the serial line")?;
        let mut command = board.qemu(image);
        command
            .args(["-display", "none", "-monitor", "none"])
            .args(["-chardev", "socket,id=uart,path=uart", "-serial", "chardev:uart"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if clock == Clock::Instructions {
            command.args(["-icount", "shift=0"]);
        }
        let mut child = command.spawn().with_context(|| format!("{:?}", command.get_program()))?;
        let log = child.stdout.take().map(|mut stdout| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                // What came before an error is still worth reading.
                let _ = stdout.read_to_end(&mut bytes);
                bytes
            })
        });
        let uart = accept(&listener, &mut child)?;
        uart.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self { child, uart: BufReader::new(uart), log })
    }

    /// Sends a line.
    pub(crate) fn send(&mut self, line: &str) -> Result<()> {
        self.uart.get_mut().write_all(format!("{line}\n").as_bytes()).context("the serial line")
    }

    /// The next line that the board says.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.uart.read_line(&mut line).context("the board does not answer")?;
        ensure!(line.ends_with('\n'), "the board is gone; it said `{line}`");
        line.pop();
        Ok(line)
    }

    /// Sends a command; its answer is one line.
    pub(crate) fn ask(&mut self, command: &str) -> Result<String> {
        self.send(command)?;
        self.line()
    }

    /// The board's first words: position and state hash.
    pub(crate) fn ready(&mut self, board: Board) -> Result<(u64, u64)> {
        let line = self.line()?;
        let Some(rest) = line.strip_prefix(&format!("ready {} ", board.name())) else {
            bail!("the board said `{line}`");
        };
        position(rest)
    }

    /// Pulls the plug. Returns what the board has logged.
    pub(crate) fn kill(mut self) -> Vec<u8> {
        self.end();
        self.log.take().and_then(|log| log.join().ok()).unwrap_or_default()
    }

    fn end(&mut self) {
        // SIGKILL: the emulator has no chance to write anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits for QEMU, or for its end.
fn accept(listener: &UnixListener, child: &mut Child) -> Result<UnixStream> {
    listener.set_nonblocking(true)?;
    loop {
        if let Ok((uart, _)) = listener.accept() {
            uart.set_nonblocking(false)?;
            return Ok(uart);
        }
        if let Some(status) = child.try_wait()? {
            bail!("QEMU did not start ({status})");
        }
        thread::yield_now();
    }
}

/// `NEXT HASH`.
pub(crate) fn position(text: &str) -> Result<(u64, u64)> {
    let parse = || {
        let (next, hash) = text.split_once(' ')?;
        Some((next.parse().ok()?, u64::from_str_radix(hash, 16).ok()?))
    };
    parse().with_context(|| format!("`{text}` is not a position and a state hash"))
}
