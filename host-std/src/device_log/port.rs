//! The log of a device at a serial port, asked for.
//!
//! Lines may be lost, damaged, or answers to something else, and a device that was
//! asked before and not heard out still sends. So nothing is waited for without
//! end, and nothing is believed: what comes from the `log` line on is for
//! [`decode_stream`](super::decode_stream).

use std::{
    fs::File,
    io::{self, Read, Write},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use interstice_embedded::stream::{Line, LineError, SIZE_MAX};

/// What a device is asked by. The first line feed ends what was in the line
/// already; its answer is an answer to that.
const REQUEST: &[u8] = b"\nlog\n";

/// How long the log may take to begin, behind the request or what is left of an
/// earlier transfer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// As long as that, once the device has refused what must have been the request.
const REFUSED_WAIT: Duration = Duration::from_secs(2);

/// How long the next line of a log may take: a device that passes over a large
/// part that is erased says nothing meanwhile.
const LINE_WAIT: Duration = Duration::from_secs(30);

/// Bytes that a log may take besides twice its size: lines of other kinds.
const OTHER_MAX: usize = 64 * 1024;

/// Bytes of the longest line that is looked at.
const LINE_MAX: usize = 16 * 1024;

/// What a device is asked and heard through.
pub(crate) trait Port {
    /// Sends something.
    fn say(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// What comes next, within `wait`.
    fn hear(&mut self, wait: Duration) -> io::Result<Heard>;

    /// The time, from any beginning on.
    fn now(&self) -> Duration;
}

/// What has come.
#[derive(Debug)]
pub(crate) enum Heard {
    Bytes(Vec<u8>),
    /// Nothing, for as long as was waited.
    Nothing,
    /// Nothing more will.
    End,
}

/// What a device has answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its log, from the `log` line on, as far as it came.
    Log(Vec<u8>),
    /// It refuses, and says why.
    Refused(String),
    /// Something, which is no log.
    Other,
    /// Nothing.
    Nothing,
}

/// Asks a device for its log, a second time if none begins: the request may have been
/// damaged on the way, and what is refused another line. `progress` is told how many
/// bytes have come.
pub(crate) fn ask(port: &mut impl Port, progress: impl Fn(u64)) -> io::Result<Answer> {
    let mut hearing = Hearing::default();
    for _ in 0..2 {
        port.say(REQUEST)?;
        hearing.begin(port.now());
        while let Some(wait) = hearing.deadline.checked_sub(port.now()).filter(|it| !it.is_zero()) {
            match port.hear(wait)? {
                Heard::Bytes(bytes) => {
                    hearing.take(&bytes, port.now());
                    progress(hearing.count);
                }
                Heard::Nothing => {}
                Heard::End => return Ok(hearing.answer()),
            }
            if hearing.is_over {
                return Ok(hearing.answer());
            }
        }
        if hearing.log.is_some() {
            break;
        }
    }
    Ok(hearing.answer())
}

/// What was heard so far.
#[derive(Default)]
struct Hearing {
    /// All bytes that came.
    count: u64,
    /// The log, once it has begun.
    log: Option<Vec<u8>>,
    /// The line that is not at its end yet.
    line: Vec<u8>,
    /// Refusals since the request. One is for the line before.
    refusals: u32,
    /// The last one of all.
    refusal: Option<String>,
    /// Bytes that the log may have, once it has begun.
    log_max: usize,
    /// Where the last line of a transfer that nobody has heard out begins.
    left_at: Option<u32>,
    /// When it is waited for no longer.
    deadline: Duration,
    is_over: bool,
}

impl Hearing {
    fn begin(&mut self, now: Duration) {
        self.refusals = 0;
        self.deadline = now + ANSWER_WAIT;
    }

    fn take(&mut self, bytes: &[u8], now: Duration) {
        self.count += bytes.len() as u64;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.is_over {
                return;
            }
            if self.line.len() < LINE_MAX {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take_line(&line, now);
            }
        }
    }

    fn take_line(&mut self, line: &[u8], now: Duration) {
        let parsed = Line::parse(line);
        if let Some(Ok(Line::Log { size, .. })) = parsed
            && size <= SIZE_MAX
        {
            self.log = Some(Vec::new());
            self.log_max = (size as usize).saturating_mul(2).saturating_add(OTHER_MAX);
            self.deadline = now + LINE_WAIT;
        }
        if let Some(log) = &mut self.log {
            log.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                // The end of a line that is too long.
                log.push(b'\n');
            }
            let is_end = match parsed {
                None => false,
                Some(Ok(Line::End { .. } | Line::Err(_)) | Err(LineError::End)) => true,
                Some(_) => {
                    self.deadline = now + LINE_WAIT;
                    false
                }
            };
            self.is_over = is_end || log.len() > self.log_max;
            return;
        }
        match parsed {
            // What is left of a transfer that nobody has heard out, which goes on to its
            // end. Other things may look like it, and go on for ever.
            Some(Ok(Line::Data { offset, .. } | Line::Erased { offset, .. }))
                if Some(offset) > self.left_at =>
            {
                self.left_at = Some(offset);
                self.deadline = now + ANSWER_WAIT;
            }
            Some(Ok(Line::Err(why))) => {
                self.refusals += 1;
                self.refusal = Some(why.trim().to_owned());
                if self.refusals > 1 {
                    self.deadline = self.deadline.min(now + REFUSED_WAIT);
                }
            }
            _ => {}
        }
    }

    fn answer(self) -> Answer {
        match self.log {
            Some(mut log) => {
                log.extend_from_slice(&self.line);
                Answer::Log(log)
            }
            None => match self.refusal {
                Some(refusal) => Answer::Refused(refusal),
                None if self.count > 0 => Answer::Other,
                None => Answer::Nothing,
            },
        }
    }
}

/// A port of the system. It is read by a thread of its own: a read waits for ever
/// where nothing comes.
pub(crate) struct SystemPort {
    file: File,
    arrivals: Receiver<io::Result<Vec<u8>>>,
    begun: Instant,
}

impl SystemPort {
    /// Begins to read. `file` is open for both ways.
    pub(crate) fn start(file: File) -> io::Result<Self> {
        let mut from = file.try_clone()?;
        let (sender, arrivals) = mpsc::sync_channel(64);
        let read = move || {
            let mut chunk = [0; 4096];
            loop {
                let read = match from.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(len) => Ok(chunk[..len].to_vec()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let is_last = read.is_err();
                // Who takes no more does not want to hear of it either.
                if sender.send(read).is_err() || is_last {
                    return;
                }
            }
        };
        thread::Builder::new().name("port".to_owned()).spawn(read)?;
        Ok(Self { file, arrivals, begun: Instant::now() })
    }
}

impl Port for SystemPort {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn hear(&mut self, wait: Duration) -> io::Result<Heard> {
        match self.arrivals.recv_timeout(wait) {
            Ok(bytes) => bytes.map(Heard::Bytes),
            Err(RecvTimeoutError::Timeout) => Ok(Heard::Nothing),
            Err(RecvTimeoutError::Disconnected) => Ok(Heard::End),
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}

#[cfg(test)]
mod tests;
