//! All readings, with kills on the way.
//!
//! The board is killed at moments that a seed decides: while it works on a
//! reading, or while it mounts its log. When it is back, it must be where its
//! last acknowledgement was, or one reading further, if one was on its way.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    board::Board,
    desktop::{After, Desktop, Step},
    emulator::{Clock, Emulator, position},
    flash_image::Found,
    log_lines::LogDecoder,
    pulled::{self, Pulled},
    random::Random,
};

struct Feeding<'a> {
    board: Board,
    image: &'a Path,
    folder: &'a Path,
    desktop: &'a Desktop,
    decoder: LogDecoder,
    random: Random,
    found: Found,
    /// Of what was in flash at a kill: the one with the most commits, and how many.
    killed: (usize, Vec<u8>),
    /// Readings that are acknowledged.
    acknowledged: usize,
    /// One more was sent, and not acknowledged.
    on_its_way: bool,
    /// How long the board takes: to be ready, and for a reading.
    mount_time: Duration,
    reading_time: Duration,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    kills: usize,
    /// Kills while the log was being mounted.
    mounts_killed: usize,
    /// Readings that were on their way when the board was killed, and are there.
    survived: usize,
    led_lines: usize,
}

/// Feeds all readings, kills the board at least `kills` times, and pulls its log.
/// What comes over the serial line then is written to `stream`, and the flash after
/// one of the kills to `killed`.
pub(crate) fn feed(
    board: Board,
    image: &Path,
    desktop: &Desktop,
    kills: usize,
    seed: u64,
    stream: Option<&Path>,
    killed: Option<&Path>,
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    board.make_flash(folder.path())?;
    let elf = fs::read(image).with_context(|| image.display().to_string())?;
    let mut feeding = Feeding {
        board,
        image,
        folder: folder.path(),
        desktop,
        decoder: LogDecoder::new(&elf)?,
        random: Random(seed),
        found: Found::none(desktop),
        killed: (0, Vec::new()),
        acknowledged: 0,
        on_its_way: false,
        mount_time: Duration::from_millis(500),
        reading_time: Duration::from_millis(2),
        counts: Counts::default(),
    };
    feeding.check_flash()?;
    let readings = desktop.steps.len();
    let between = (2 * readings / kills.max(1)) as u64;
    while feeding.acknowledged < readings {
        let stretch = feeding.random.below(between.max(1)) as usize;
        let upto = readings.min(feeding.acknowledged + stretch);
        let upto = if feeding.counts.kills < kills { upto } else { readings };
        feeding
            .stretch(upto)
            .with_context(|| format!("behind {} readings, seed {seed}", feeding.acknowledged))?;
    }
    let text = feeding.finish()?;
    if let Some(path) = stream {
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = killed {
        ensure!(feeding.killed.0 > 0, "no kill has left a commit in flash");
        fs::write(path, &feeding.killed.1).with_context(|| path.display().to_string())?;
    }
    let Counts { kills, mounts_killed, survived, led_lines } = feeding.counts;
    println!(
        "{}: {readings} readings, every answer, and the {} of {} commits that were in flash at a kill or at the end, as on the desktop; killed {kills} times, \
         {mounts_killed} of them while mounting; {survived} readings survived that were not \
         acknowledged; the light was switched {led_lines} times",
        board.name(),
        feeding.found.count(),
        desktop.commits.len()
    );
    Ok(())
}

impl Feeding<'_> {
    /// The driver's self-test, and that flash keeps its content.
    fn check_flash(&mut self) -> Result<()> {
        for run in 0..3 {
            let mut emulator = self.start()?;
            self.expect_ready(&mut emulator)?;
            let answer = emulator.ask("selftest")?;
            ensure!(answer == format!("selftest good, {run} before it"), "{answer}");
        }
        Ok(())
    }

    /// Feeds up to so many readings, then kills the board, unless it is the end.
    fn stretch(&mut self, upto: usize) -> Result<()> {
        if self.random.below(4) == 0 {
            self.kill_while_mounting()?;
        }
        let mut emulator = self.start()?;
        let started = Instant::now();
        let mut led = self.expect_ready(&mut emulator)?;
        self.mount_time = started.elapsed();
        let ready = self.acknowledged;
        let desktop = self.desktop;
        while self.acknowledged < upto {
            let sent = Instant::now();
            let step = &desktop.steps[self.acknowledged];
            emulator.send(&step.command)?;
            self.expect_answer(&mut emulator, step, &mut led)?;
            self.acknowledged += 1;
            // An average, so that one slow answer does not count for much.
            self.reading_time = (self.reading_time * 15 + sent.elapsed()) / 16;
        }
        if let Some(step) = desktop.steps.get(upto) {
            emulator.send(&step.command)?;
            self.on_its_way = true;
            // Anywhere from the beginning to a while after the end of its work.
            self.wait_below(2 * self.reading_time);
            self.counts.kills += 1;
        }
        self.check_log_lines(&emulator.kill(), ready)?;
        let flash = self.board.read_flash(self.folder, self.board.log_size())?;
        let commits = self.found.compare(self.board, &flash, desktop)?;
        if upto < desktop.steps.len() && commits > self.killed.0 {
            self.killed = (commits, flash);
        }
        Ok(())
    }

    fn kill_while_mounting(&mut self) -> Result<()> {
        let emulator = self.start()?;
        self.wait_below(self.mount_time);
        drop(emulator);
        self.counts.kills += 1;
        self.counts.mounts_killed += 1;
        Ok(())
    }

    fn wait_below(&mut self, time: Duration) {
        let time = self.random.below(time.as_micros().max(1) as u64);
        thread::sleep(Duration::from_micros(time));
    }

    fn start(&self) -> Result<Emulator> {
        Emulator::start(self.board, self.image, self.folder, Clock::Host)
    }

    /// Whether the board is where it must be. Returns whether its light is on.
    fn expect_ready(&mut self, emulator: &mut Emulator) -> Result<bool> {
        let (next_offset, state_hash) = emulator.ready(self.board)?;
        let is = |after: &After| after.next_offset == next_offset && after.state_hash == state_hash;
        let last = self.desktop.after(self.acknowledged).filter(is);
        let further = self.desktop.after(self.acknowledged + 1).filter(is);
        let after = match (last, further) {
            (Some(after), _) => after,
            (None, Some(after)) if self.on_its_way => {
                self.acknowledged += 1;
                self.counts.survived += 1;
                after
            }
            _ => bail!(
                "the board is at {next_offset} {state_hash:016x}; acknowledged is {:x?}",
                self.desktop.after(self.acknowledged)
            ),
        };
        self.on_its_way = false;
        Ok(after.led)
    }

    /// The lines that answer a reading.
    fn expect_answer(
        &mut self,
        emulator: &mut Emulator,
        step: &Step,
        led: &mut bool,
    ) -> Result<()> {
        if step.after.led != *led {
            *led = step.after.led;
            let line = emulator.line()?;
            let word = if *led { "on" } else { "off" };
            ensure!(line == format!("led {word} {}", step.time), "`{line}` instead of the light");
            self.counts.led_lines += 1;
        }
        let line = emulator.line()?;
        let answer = line.strip_prefix("ok ").with_context(|| format!("`{line}`"))?;
        let expected = (step.after.next_offset, step.after.state_hash);
        ensure!(position(answer)? == expected, "`{line}` instead of {:x?}", step.after);
        Ok(())
    }

    /// What the board has logged since it was ready, behind so many readings.
    fn check_log_lines(&self, bytes: &[u8], ready: usize) -> Result<()> {
        let lines = self.decoder.lines(bytes)?;
        let after = self.desktop.after(ready).context("no such reading")?;
        let boot = format!("info boot on {}", self.board.name());
        let ready = format!(
            "info ready at commit {}, state hash {:016x}",
            after.next_offset, after.state_hash
        );
        ensure!(lines.first() == Some(&boot), "{lines:?} begins without `{boot}`");
        ensure!(lines.contains(&ready), "{lines:?} is without `{ready}`");
        let bad = lines.iter().find(|line| line.starts_with("error"));
        ensure!(bad.is_none(), "the board logged {bad:?}");
        Ok(())
    }

    /// The end of the run: the log is pulled, and is what flash has.
    fn finish(&mut self) -> Result<String> {
        let mut emulator = self.start()?;
        self.expect_ready(&mut emulator)?;
        let answer = emulator.ask("rest")?;
        ensure!(answer == "resting", "`{answer}` instead of rest");
        drop(emulator);
        let rested = self.board.read_flash(self.folder, self.board.log_size())?;
        let mut emulator = self.start()?;
        self.expect_ready(&mut emulator)?;
        let started = self.board.read_flash(self.folder, self.board.log_size())?;
        ensure!(started == rested, "a start behind a rest has written to the flash");
        let Pulled { bytes: log, page, text } = pulled::pull(&mut emulator)?;
        drop(emulator);
        let flash = self.board.read_flash(self.folder, log.len())?;
        ensure!(log == flash, "the log over the serial line is not what flash has");
        ensure!(log.len() == self.board.log_size(), "the log has {} bytes", log.len());
        ensure!(log.len() % page == 0, "{} bytes of pages of {page}", log.len());
        self.found.compare(self.board, &log, self.desktop)?;
        ensure!(2 * self.found.count() > self.desktop.commits.len(), "few commits were in flash");
        Ok(text)
    }
}
