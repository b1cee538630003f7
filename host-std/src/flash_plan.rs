//! How large a region of flash a device needs, and how long it lasts.
//!
//! The arithmetic of the [log in flash](interstice_embedded::flash_log): a header
//! per page, eight bytes per record, everything in whole words, half of the ring
//! for snapshots, and a new page at each start. The device is one that writes its
//! snapshots when it has nothing else to do, and whose power is cut.

use interstice_embedded::flash_log::{
    self, BLOCK_LEN_MIN, HEAD_LEN, HEADER_LEN, PAGE_SIZE_MIN, RECORD_LEN_MIN, SNAPSHOT_END_LEN,
    WORD_MAX, image::RECORD_LEN_MAX,
};
use serde::Serialize;

/// Bytes of a page's header and of a record besides its payload.
const HEADER: u64 = HEADER_LEN as u64;
const RECORD: u64 = HEAD_LEN as u64;

/// Bytes of the largest payload of a record, and of that of a snapshot's end.
const PAYLOAD_MAX: u64 = flash_log::PAYLOAD_MAX as u64;
const SNAPSHOT_END: u64 = SNAPSHOT_END_LEN as u64;

/// What is planned for.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Bytes of the region.
    pub region: u64,
    /// Bytes that are erased at once.
    pub page: u64,
    /// Bytes that are programmed at once.
    pub word: u64,
    /// Bytes of a commit: arguments, rows, and about 16 more.
    pub commit: u64,
    /// Commits an hour; a call makes one, and one more for each subscription that
    /// it triggers.
    pub commits_per_hour: f64,
    /// Starts a day. Nothing is appended to a page that was opened before, so a start
    /// takes a page, if anything was committed since the one before.
    pub starts_per_day: f64,
    /// Bytes of the state as a snapshot: the rows, packed.
    pub snapshot: u64,
    /// Bytes of the record buffer.
    pub buffer: u64,
    /// Erases that a page bears.
    pub endurance: u64,
}

/// Why a plan does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A number that no flash has, or that says nothing.
    #[error("{must}")]
    Number {
        /// The field of the [`Plan`].
        field: &'static str,
        /// What it has to be.
        must: &'static str,
    },
    /// A commit is too large.
    #[error("a commit of {commit} bytes does not fit; this region takes {max}")]
    Commit {
        /// Its bytes.
        commit: u64,
        /// Bytes of the largest one.
        max: u64,
    },
    /// The state is too large.
    #[error(
        "a snapshot of {snapshot} bytes takes {needed} pages; half of the region has {there}. {}",
        would_do(*region)
    )]
    Snapshot {
        /// Its bytes.
        snapshot: u64,
        /// Pages that it takes.
        needed: u64,
        /// Pages that there are for it.
        there: u64,
        /// Bytes of the smallest region that would do, with such pages, if one would.
        region: Option<u64>,
    },
}

fn would_do(region: Option<u64>) -> String {
    match region {
        Some(region) => format!("A region of {region} bytes would do"),
        None => {
            "No region with such pages would do: it has at most 65,535, in less than 4 GiB".into()
        }
    }
}

/// What comes out.
#[derive(Clone, Debug, Serialize)]
pub struct Outlook {
    /// Pages of the region.
    pub pages: u64,
    /// Pages of a snapshot.
    pub snapshot_pages: u64,
    /// Starts a day, each of which takes a page.
    pub starts_per_day: f64,
    /// Commits that a page holds.
    pub commits_per_page: f64,
    /// Commits from one snapshot to the next.
    pub commits_per_snapshot: f64,
    /// Hours from one snapshot to the next.
    pub hours_per_snapshot: f64,
    /// Bytes programmed per byte of a commit, snapshots included.
    pub bytes_per_byte: f64,
    /// Erases per 1,000 commits, snapshots included.
    pub erases_per_1000: f64,
    /// Erases of each page a year.
    pub erases_per_year: f64,
    /// Years until a page has borne all the erases it can.
    pub years: f64,
}

impl PlanError {
    /// The field of the [`Plan`] that is to blame.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Number { field, .. } => field,
            Self::Commit { .. } => "commit",
            Self::Snapshot { .. } => "snapshot",
        }
    }
}

/// Bytes up to which a commit is worth a thought.
const BYTES_MAX: u64 = 1 << 40;

/// Bytes and pages of the largest region.
const REGION_MAX: u64 = u32::MAX as u64;
const PAGES_MAX: u64 = u16::MAX as u64;

/// Snapshots over which is averaged.
const SNAPSHOTS: u32 = 50;

/// How a snapshot lies in its pages.
#[derive(Clone, Copy)]
struct Layout {
    pages: u64,
    /// Where it ends in the last one.
    end: u64,
    /// Bytes of its records.
    bytes: u64,
}

/// What was counted from the first to the last of [`SNAPSHOTS`].
#[derive(Default)]
struct Counts {
    commits: f64,
    /// Starts that took a page of the log.
    starts: u64,
    snapshots: u32,
}

impl Plan {
    /// Works it out.
    ///
    /// # Errors
    ///
    /// When a number makes no sense, or the state or a commit does not fit.
    pub fn outlook(&self) -> Result<Outlook, PlanError> {
        self.check_numbers()?;
        let pages = self.region / self.page;
        let snapshot = self.snapshot_layout();
        let half = pages / 2;
        if snapshot.pages > half {
            // The first one that takes the commit too.
            let fits = |pages: &u64| self.commit <= self.commit_max(*pages, &snapshot);
            let region = (2 * snapshot.pages..=PAGES_MAX.min(REGION_MAX / self.page)).find(fits);
            return Err(PlanError::Snapshot {
                snapshot: self.snapshot,
                needed: snapshot.pages,
                there: half,
                region: region.map(|pages| pages * self.page),
            });
        }
        let max = self.commit_max(pages, &snapshot);
        if self.commit > max {
            return Err(PlanError::Commit { commit: self.commit, max });
        }
        // From one snapshot to the next, all are used that are not kept for one.
        let erases = (pages - half) as f64;
        let counts = self.count(pages - half - snapshot.pages, &snapshot);
        let snapshots = f64::from(counts.snapshots);
        let commits_per_snapshot = (counts.commits / snapshots).max(1.0);
        let starts_per_snapshot = counts.starts as f64 / snapshots;
        let erases_per_commit = erases / commits_per_snapshot;
        let bytes = snapshot.bytes as f64
            + commits_per_snapshot * self.record(self.commit) as f64
            + starts_per_snapshot * self.start_len() as f64
            + erases * self.words(HEADER) as f64;
        let erases_per_year =
            erases_per_commit * self.commits_per_hour * 24.0 * 365.25 / pages as f64;
        Ok(Outlook {
            pages,
            snapshot_pages: snapshot.pages,
            starts_per_day: self.starts_per_day,
            commits_per_page: self.commits_behind(self.words(HEADER), false),
            commits_per_snapshot,
            hours_per_snapshot: commits_per_snapshot / self.commits_per_hour,
            bytes_per_byte: bytes / (commits_per_snapshot * self.commit as f64),
            erases_per_1000: erases_per_commit * 1_000.0,
            erases_per_year,
            years: self.endurance as f64 / erases_per_year,
        })
    }

    fn check_numbers(&self) -> Result<(), PlanError> {
        let check = |field, is_good: bool, must| match is_good {
            true => Ok(()),
            false => Err(PlanError::Number { field, must }),
        };
        let is_word = (1..=WORD_MAX as u64).contains(&self.word) && 64u64.is_multiple_of(self.word);
        check("word", is_word, "a word has 1, 2, 4, 8, 16 or 32 bytes")?;
        let is_page =
            (PAGE_SIZE_MIN.into()..=1 << 24).contains(&self.page) && self.page.is_multiple_of(64);
        check("page", is_page, "a page has 256 bytes to 16 MiB, in 64s")?;
        let is_whole = self.region.is_multiple_of(self.page);
        check("region", is_whole, "a region is made of whole pages")?;
        let is_region = (2..=PAGES_MAX).contains(&(self.region / self.page));
        check("region", is_region, "a region has 2 to 65,535 pages")?;
        check("region", self.region <= REGION_MAX, "a region has less than 4 GiB")?;
        let buffers = RECORD_LEN_MIN as u64..=RECORD_LEN_MAX as u64;
        check("buffer", buffers.contains(&self.buffer), "a record buffer has 64 to 8,032 bytes")?;
        let is_commit = (1..=BYTES_MAX).contains(&self.commit);
        check("commit", is_commit, "a commit has a byte or more, up to a TiB")?;
        check("snapshot", self.snapshot <= REGION_MAX, "a state has less than 4 GiB")?;
        let is_rate = (0.0001..=3.6e9).contains(&self.commits_per_hour);
        check(
            "commits_per_hour",
            is_rate,
            "it is from 0.0001 (a commit a year) to 3.6e9 (a million a second)",
        )?;
        let is_starts = (0.0..=86_400.0).contains(&self.starts_per_day);
        check("starts_per_day", is_starts, "it is from 0 to 86,400 (a start a second)")?;
        check("endurance", self.endurance > 0, "a page bears an erase or more")
    }

    fn words(&self, bytes: u64) -> u64 {
        bytes.next_multiple_of(self.word)
    }

    fn record(&self, payload: u64) -> u64 {
        let most = self.payload_max();
        let (whole, rest) = (payload / most, payload % most);
        whole * self.words(RECORD + most) + if rest > 0 { self.words(RECORD + rest) } else { 0 }
    }

    /// Bytes of the largest payload.
    fn payload_max(&self) -> u64 {
        let room = self.page - self.words(HEADER);
        (self.buffer.min(room) / self.word * self.word).saturating_sub(RECORD).clamp(1, PAYLOAD_MAX)
    }

    /// Bytes of the records that a start writes after a power cut: the last one once
    /// more, and a mark.
    fn start_len(&self) -> u64 {
        let last = (self.commit - 1) % self.payload_max() + 1;
        self.words(RECORD + last) + self.words(RECORD)
    }

    /// Bytes of the largest commit that fits a region of so many pages: the pages of
    /// the log behind a snapshot, or what that leaves of its last page.
    fn commit_max(&self, pages: u64, snapshot: &Layout) -> u64 {
        let half = pages / 2;
        let payload = self.payload_max();
        let piece = self.words(RECORD + payload);
        let per_page = (self.page - self.words(HEADER)) / piece;
        let log_pages = pages - half - snapshot.pages;
        let in_pages = (log_pages * per_page * payload).saturating_sub(1);
        let left = self.page - snapshot.end;
        let whole = left / piece * payload;
        let in_last = match (left % piece).checked_sub(RECORD) {
            Some(rest) => whole + rest,
            // A commit ends with a record that is not full.
            None => whole.saturating_sub(1),
        };
        in_pages.max(in_last).min((half - 1).max(1) * per_page * payload)
    }

    /// Commits that go into a page from `place` on. `is_last`: a snapshot is written
    /// once three quarters of the page are used.
    fn commits_behind(&self, place: u64, is_last: bool) -> f64 {
        let record = self.record(self.commit);
        let left = self.page.saturating_sub(place);
        if record > self.page - self.words(HEADER) {
            // A part of one.
            return left as f64 / record as f64;
        }
        let until_late = (self.page / 4 * 3).saturating_sub(place) / record + 1;
        let whole = left / record;
        if is_last { whole.min(until_late) as f64 } else { whole as f64 }
    }

    /// Goes through the pages, of which `log_pages` are the log's.
    fn count(&self, log_pages: u64, snapshot: &Layout) -> Counts {
        // A start takes a page when something was committed since the one before.
        let per_start = (self.commits_per_hour * 24.0 / self.starts_per_day).max(1.0);
        let header = self.words(HEADER);
        let mut counts = Counts::default();
        let (mut free, mut started) = (log_pages, 0.0);
        let mut room = self.commits_behind(snapshot.end, free == 0);
        while counts.snapshots < SNAPSHOTS {
            let start = ((started + 1.0) * per_start).floor();
            let is_start = start <= counts.commits + room;
            counts.commits = start.min(counts.commits + room);
            started += f64::from(u8::from(is_start));
            room = match free.checked_sub(1) {
                Some(left) => {
                    free = left;
                    counts.starts += u64::from(is_start);
                    let place = if is_start { header + self.start_len() } else { header };
                    self.commits_behind(place, free == 0)
                }
                None => {
                    counts.snapshots += 1;
                    free = log_pages;
                    self.commits_behind(snapshot.end, free == 0)
                }
            };
        }
        counts
    }

    /// Lays a snapshot out as the log does.
    fn snapshot_layout(&self) -> Layout {
        let (header, most) = (self.words(HEADER), self.payload_max());
        let mut layout = Layout { pages: 1, end: header, bytes: 0 };
        let mut put = |record| {
            if layout.end + record > self.page {
                layout.pages += 1;
                layout.end = header;
            }
            layout.end += record;
            layout.bytes += record;
            (self.page - layout.end).saturating_sub(RECORD)
        };
        let (mut rest, mut left) = (self.snapshot, most);
        while rest > 0 {
            // What is left of a page is used too.
            let len = if left >= BLOCK_LEN_MIN as u64 { left.min(most) } else { most }.min(rest);
            left = put(self.words(RECORD + len));
            rest -= len;
        }
        // The end and its mark stay together.
        put(self.words(RECORD + SNAPSHOT_END) + self.words(RECORD));
        layout
    }
}

#[cfg(test)]
mod tests {
    use embedded_storage::nor_flash::NorFlash;
    use interstice_core::{TxOffset, log::frame::LogHeader};
    use interstice_embedded::{FlashLog, flash_log::FlashLogError, mock_flash::MockFlash};

    use super::*;

    /// What a simulated flash counts for a plan, where power goes, with nothing closed,
    /// after every `per_start` commits.
    fn count<const W: usize, const P: usize>(
        plan: &Plan,
        commits: u64,
        per_start: u64,
    ) -> (f64, f64) {
        let mut flash = MockFlash::<W, P>::new((plan.region / plan.page) as usize);
        let header = LogHeader { log_id: [1; 16], seed: 1 };
        let mut log = FlashLog::<_, 512>::format(&mut flash, header).unwrap();
        let start = log.flash().counters.clone();
        let commit = vec![0x55; plan.commit as usize];
        fn snapshot<F: NorFlash>(log: &mut FlashLog<F, 512>, len: u64) {
            log.begin_snapshot().unwrap();
            log.write_snapshot(&vec![0x33; len as usize]).unwrap();
            log.finish_snapshot().unwrap();
        }
        for position in 0..commits {
            if position > 0 && position.is_multiple_of(per_start) {
                let flash = log.into_flash();
                log = FlashLog::mount(flash).unwrap().0;
                // A device replays its log.
                log.replay(&mut |_| Ok::<_, ()>(())).unwrap();
            }
            // What a device does that has nothing else to do.
            if log.wants_snapshot() {
                snapshot(&mut log, plan.snapshot);
            }
            if log.append(TxOffset(position), &commit) == Err(FlashLogError::NeedsSnapshot) {
                snapshot(&mut log, plan.snapshot);
                log.append(TxOffset(position), &commit).unwrap();
            }
        }
        let bytes = flash.counters.bytes_programmed - start.bytes_programmed;
        let erases: u64 =
            flash.counters.erases.iter().sum::<u64>() - start.erases.iter().sum::<u64>();
        (bytes as f64 / (commits * plan.commit) as f64, erases as f64 * 1_000.0 / commits as f64)
    }

    /// Compares a plan with what a flash counts.
    #[track_caller]
    fn check<const W: usize, const P: usize>(plan: &Plan, commits: u64, per_start: u64) {
        let starts_per_day = plan.commits_per_hour * 24.0 / per_start as f64;
        let plan = Plan { page: P as u64, word: W as u64, starts_per_day, ..*plan };
        let planned = plan.outlook().unwrap();
        let (bytes, erases) = count::<W, P>(&plan, commits, per_start);
        for (what, planned, counted) in
            [("bytes", planned.bytes_per_byte, bytes), ("erases", planned.erases_per_1000, erases)]
        {
            let off = (planned / counted - 1.0).abs();
            assert!(
                off < 0.03,
                "{what}: planned {planned:.3}, counted {counted:.3}, {per_start} a start, {plan:?}"
            );
        }
    }

    #[test]
    fn a_simulated_flash_counts_what_the_plan_says() {
        const NEVER: u64 = 1 << 40;
        for (commit, snapshot) in
            [(32, 8), (32, 40_000), (81, 100_000), (128, 200_000), (700, 9_000)]
        {
            let plan = Plan { region: 1 << 20, commit, snapshot, ..small() };
            check::<4, 4_096>(&plan, 200_000, NEVER);
        }
        for (commit, snapshot) in [(20, 200), (81, 3_000)] {
            let plan = Plan { region: 64 << 10, commit, snapshot, ..small() };
            check::<16, 2_048>(&plan, 50_000, NEVER);
        }
    }

    #[test]
    fn a_simulated_flash_counts_the_pages_of_starts_as_the_plan_does() {
        for per_start in [1, 7, 41, 42, 43, 1_000] {
            for snapshot in [100, 7_000, 40_000] {
                let plan = Plan { region: 128 << 10, commit: 81, snapshot, ..small() };
                check::<4, 4_096>(&plan, 20_000, per_start);
            }
            // No page is left but those for a snapshot: a start costs one.
            let plan = Plan { region: 8 << 10, commit: 81, snapshot: 500, ..small() };
            check::<4, 4_096>(&plan, 10_000, per_start);
            let plan = Plan { region: 16 << 10, commit: 81, snapshot: 5_000, ..small() };
            check::<32, 4_096>(&plan, 10_000, per_start);
        }
        // A commit that fills its page.
        let plan = Plan { region: 64 << 10, commit: 3_000, snapshot: 500, ..small() };
        check::<4, 4_096>(&plan, 5_000, 1);
        check::<4, 4_096>(&plan, 5_000, 3);
    }

    /// Snapshots from one byte to the most that fits.
    #[test]
    fn a_snapshot_takes_the_pages_that_the_plan_says_and_no_byte_more_fits() {
        fn check<const W: usize, const P: usize>(pages: u64) {
            let len = |snapshot| Plan {
                region: pages * P as u64,
                page: P as u64,
                word: W as u64,
                commit: 1,
                snapshot,
                ..small()
            };
            let written = |snapshot: u64| {
                let mut flash = MockFlash::<W, P>::new(pages as usize);
                let header = LogHeader { log_id: [1; 16], seed: 1 };
                let mut log = FlashLog::<_, 512>::format(&mut flash, header).unwrap();
                log.begin_snapshot()?;
                log.write_snapshot(&vec![0x33; snapshot as usize])?;
                log.finish_snapshot()?;
                Ok::<_, FlashLogError>(u64::from(log.geometry().pages - log.free_pages()))
            };
            let most = (0..pages * P as u64)
                .rev()
                .find(|bytes| len(*bytes).snapshot_layout().pages <= pages / 2)
                .unwrap();
            for snapshot in (1..most).step_by(61).chain([most]) {
                let planned = len(snapshot).snapshot_layout().pages;
                assert_eq!(written(snapshot), Ok(planned), "{snapshot} in words of {W}");
            }
            assert_eq!(written(most + 1), Ok(pages / 2 + 1));
            assert!(matches!(len(most + 1).outlook(), Err(PlanError::Snapshot { .. })));
        }
        check::<1, 256>(10);
        check::<4, 4_096>(8);
        check::<8, 2_048>(12);
        check::<16, 1_024>(16);
        check::<32, 256>(16);
        check::<32, 4_096>(8);
    }

    fn small() -> Plan {
        Plan {
            region: 32 << 10,
            page: 4_096,
            word: 4,
            commit: 80,
            commits_per_hour: 60.0,
            starts_per_day: 1.0,
            snapshot: 30_000,
            buffer: 512,
            endurance: 100_000,
        }
    }

    #[test]
    fn a_state_that_does_not_fit_is_told_with_the_region_that_would() {
        let mut plan = small();
        let region_of = |plan: &Plan| match plan.outlook() {
            Err(PlanError::Snapshot { region, .. }) => region,
            outlook => panic!("{outlook:?}"),
        };
        // A commit too, for which the snapshot leaves no room in its last page.
        for (snapshot, commit) in [(30_000, 80), (31_000, 80), (30_000, 3_000), (30_000, 20_000)] {
            (plan.snapshot, plan.commit) = (snapshot, commit);
            let region = region_of(&plan).unwrap();
            assert!(Plan { region, ..plan }.outlook().is_ok());
            assert!(Plan { region: region - plan.page, ..plan }.outlook().is_err());
        }
        // No log takes a region of so many pages, or bytes.
        plan.commit = 80;
        for (page, snapshot) in [(256, 9 << 20), (256 << 10, 3 << 30)] {
            plan = Plan { region: 32 * page, page, snapshot, ..plan };
            assert_eq!(region_of(&plan), None);
        }
    }

    /// What the plan says of the largest commit, a flash does.
    #[test]
    fn a_commit_that_does_not_fit_is_told_with_the_largest_that_would() {
        let mut plan = Plan { snapshot: 100, commit: 1 << 20, ..small() };
        let Err(PlanError::Commit { max, .. }) = plan.outlook() else { panic!("it fits") };
        plan.commit = max;
        assert!(plan.outlook().is_ok());
        let mut flash = MockFlash::<4, 4_096>::new(8);
        let header = LogHeader { log_id: [1; 16], seed: 1 };
        let mut log = FlashLog::<_, 512>::format(&mut flash, header).unwrap();
        assert!(log.append(TxOffset(0), &vec![0x55; 2 * max as usize]).is_err());
        assert_eq!(log.append(TxOffset(0), &vec![0x55; max as usize]), Ok(()));
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused_by_name() {
        let fits = || Plan { snapshot: 100, ..small() };
        assert!(fits().outlook().is_ok());
        for (field, plan) in [
            ("word", Plan { word: 0, ..fits() }),
            ("word", Plan { word: 3, ..fits() }),
            ("page", Plan { page: 0, ..fits() }),
            ("page", Plan { page: u64::MAX, ..fits() }),
            ("region", Plan { region: 5_000, ..fits() }),
            ("region", Plan { region: 4_096, ..fits() }),
            ("region", Plan { region: u64::MAX / 4_096 * 4_096, ..fits() }),
            ("region", Plan { region: 1 << 32, page: 256 << 10, ..fits() }),
            ("buffer", Plan { buffer: 8_033, ..fits() }),
            ("commit", Plan { commit: 0, ..fits() }),
            ("commit", Plan { commit: u64::MAX, ..fits() }),
            ("commit", Plan { commit: 30_000, ..fits() }),
            ("snapshot", Plan { snapshot: u64::MAX, ..fits() }),
            ("snapshot", Plan { snapshot: REGION_MAX, ..fits() }),
            ("starts_per_day", Plan { starts_per_day: -1.0, ..fits() }),
            ("starts_per_day", Plan { starts_per_day: f64::NAN, ..fits() }),
            ("commits_per_hour", Plan { commits_per_hour: 0.0, ..fits() }),
            ("commits_per_hour", Plan { commits_per_hour: 1e30, ..fits() }),
            ("commits_per_hour", Plan { commits_per_hour: f64::NAN, ..fits() }),
            ("endurance", Plan { endurance: 0, ..fits() }),
        ] {
            assert_eq!(plan.outlook().unwrap_err().field(), field, "{plan:?}");
        }
    }
}
