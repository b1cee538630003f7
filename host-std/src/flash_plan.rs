//! How large a region of flash a device needs, and how long it lasts.
//!
//! The arithmetic of the [log in flash](interstice_embedded::flash_log): a header
//! per page, eight bytes per record, everything in whole words, half of the ring
//! for snapshots.

use interstice_embedded::flash_log::{
    self, HEAD_LEN, HEADER_LEN, PAGE_SIZE_MIN, RECORD_LEN_MIN, SNAPSHOT_END_LEN, WORD_MAX,
    image::RECORD_LEN_MAX,
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
        "a snapshot of {snapshot} bytes takes {needed} pages; half of the region has {there}. A region of \
         {region} bytes would do"
    )]
    Snapshot {
        /// Its bytes.
        snapshot: u64,
        /// Pages that it takes.
        needed: u64,
        /// Pages that there are for it.
        there: u64,
        /// Bytes that the region needs.
        region: u64,
    },
}

/// What comes out.
#[derive(Clone, Debug, Serialize)]
pub struct Outlook {
    /// Pages of the region.
    pub pages: u64,
    /// Pages of a snapshot.
    pub snapshot_pages: u64,
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

/// Bytes up to which a state and a commit are worth a thought.
const BYTES_MAX: u64 = 1 << 40;

impl Plan {
    /// Works it out.
    ///
    /// # Errors
    ///
    /// When a number makes no sense, or the state or a commit does not fit.
    pub fn outlook(&self) -> Result<Outlook, PlanError> {
        self.check_numbers()?;
        let pages = self.region / self.page;
        let (snapshot_pages, left) = self.snapshot_room();
        let half = pages / 2;
        if snapshot_pages > half || pages - half < snapshot_pages {
            let needed = snapshot_pages;
            let region = (2 * needed).max(2) * self.page;
            return Err(PlanError::Snapshot {
                snapshot: self.snapshot,
                needed,
                there: half,
                region,
            });
        }
        let log_pages = pages - half - snapshot_pages;
        let max = self.commit_max(log_pages, half, left);
        if self.commit > max {
            return Err(PlanError::Commit { commit: self.commit, max });
        }
        let commits_per_page = self.commits_per_page();
        // The log gets the pages that are neither a snapshot's nor kept for one,
        // and what the snapshot leaves of its last page.
        let commits_per_snapshot = ((log_pages as f64 + left) * commits_per_page).max(1.0);
        let erases = (pages - half) as f64;
        let erases_per_commit = erases / commits_per_snapshot;
        let snapshot_bytes = self.snapshot_bytes() as f64;
        let log_bytes = commits_per_snapshot * self.record(self.commit) as f64
            + (pages - half) as f64 * self.words(HEADER) as f64;
        let commit_bytes = commits_per_snapshot * self.commit as f64;
        let erases_per_year =
            erases_per_commit * self.commits_per_hour * 24.0 * 365.25 / pages as f64;
        Ok(Outlook {
            pages,
            snapshot_pages,
            commits_per_page,
            commits_per_snapshot,
            hours_per_snapshot: commits_per_snapshot / self.commits_per_hour,
            bytes_per_byte: (snapshot_bytes + log_bytes) / commit_bytes,
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
        let is_region = (2..=65_535).contains(&(self.region / self.page));
        check("region", is_region, "a region has 2 to 65,535 pages")?;
        let buffers = RECORD_LEN_MIN as u64..=RECORD_LEN_MAX as u64;
        check("buffer", buffers.contains(&self.buffer), "a record buffer has 64 to 8,032 bytes")?;
        let is_commit = (1..=BYTES_MAX).contains(&self.commit);
        check("commit", is_commit, "a commit has a byte or more, up to a TiB")?;
        check("snapshot", self.snapshot <= BYTES_MAX, "a state has up to a TiB")?;
        let is_rate = (0.0001..=3.6e9).contains(&self.commits_per_hour);
        check(
            "commits_per_hour",
            is_rate,
            "it is from 0.0001 (a commit a year) to 3.6e9 (a million a second)",
        )?;
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

    /// Bytes of the largest commit that fits the pages of the log behind a
    /// snapshot, or what the snapshot leaves of its last page.
    fn commit_max(&self, log_pages: u64, half: u64, left: f64) -> u64 {
        let room = self.page - self.words(HEADER);
        let payload = self.payload_max();
        let piece = self.words(RECORD + payload);
        let in_pages = (log_pages * (room / piece) * payload).saturating_sub(1);
        let in_last = (left * room as f64) as u64 / piece * payload;
        in_pages.max(in_last).min((half - 1).max(1) * (room / piece) * payload)
    }

    fn commits_per_page(&self) -> f64 {
        let room = self.page - self.words(HEADER);
        let record = self.record(self.commit);
        match room / record {
            0 => room as f64 / record as f64,
            whole => whole as f64,
        }
    }

    /// Bytes of a snapshot's records.
    fn snapshot_bytes(&self) -> u64 {
        self.record(self.snapshot) + self.words(RECORD + SNAPSHOT_END) + self.words(RECORD)
    }

    /// Pages that a snapshot takes, and how much of the last one it leaves.
    fn snapshot_room(&self) -> (u64, f64) {
        let room = self.page - self.words(HEADER);
        // Blocks fill a page up.
        let per_page = room - RECORD * room.div_ceil(RECORD + self.payload_max());
        let (pages, rest) = (self.snapshot / per_page, self.snapshot % per_page);
        let last = if rest > 0 { self.record(rest) } else { 0 };
        let end = self.words(RECORD + SNAPSHOT_END) + self.words(RECORD);
        match last + end <= room {
            true => (pages + 1, (room - last - end) as f64 / room as f64),
            false => (pages + 2, (room - end) as f64 / room as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use interstice_core::{TxOffset, log::frame::LogHeader};
    use interstice_embedded::{FlashLog, flash_log::FlashLogError, mock_flash::MockFlash};

    use super::*;

    /// What a simulated flash counts for a plan.
    fn count<const W: usize, const P: usize>(plan: &Plan, commits: u64) -> (f64, f64) {
        let mut flash = MockFlash::<W, P>::new((plan.region / plan.page) as usize);
        let header = LogHeader { log_id: [1; 16], seed: 1 };
        let mut log = FlashLog::<_, 512>::format(&mut flash, header).unwrap();
        let start = log.flash().counters.clone();
        let commit = vec![0x55; plan.commit as usize];
        for position in 0..commits {
            if log.append(TxOffset(position), &commit) == Err(FlashLogError::NeedsSnapshot) {
                log.begin_snapshot().unwrap();
                log.write_snapshot(&vec![0x33; plan.snapshot as usize]).unwrap();
                log.finish_snapshot().unwrap();
                log.append(TxOffset(position), &commit).unwrap();
            }
        }
        let bytes = flash.counters.bytes_programmed - start.bytes_programmed;
        let erases: u64 =
            flash.counters.erases.iter().sum::<u64>() - start.erases.iter().sum::<u64>();
        (bytes as f64 / (commits * plan.commit) as f64, erases as f64 * 1_000.0 / commits as f64)
    }

    #[test]
    fn a_simulated_flash_counts_what_the_plan_says() {
        let plan = |region, page, word, commit, snapshot| Plan {
            region,
            page,
            word,
            commit,
            commits_per_hour: 1.0,
            snapshot,
            buffer: 512,
            endurance: 100_000,
        };
        let close = |planned: f64, counted: f64, what: &str| {
            let off = (planned / counted - 1.0).abs();
            assert!(off < 0.06, "{what}: planned {planned:.3}, counted {counted:.3}");
        };
        for (commit, snapshot) in
            [(32, 8), (32, 40_000), (81, 100_000), (128, 200_000), (700, 9_000)]
        {
            let plan = plan(1 << 20, 4_096, 4, commit, snapshot);
            let planned = plan.outlook().unwrap();
            let (bytes, erases) = count::<4, 4_096>(&plan, 200_000);
            close(planned.bytes_per_byte, bytes, "bytes");
            close(planned.erases_per_1000, erases, "erases");
        }
        for (commit, snapshot) in [(20, 200), (81, 3_000)] {
            let plan = plan(64 << 10, 2_048, 16, commit, snapshot);
            let planned = plan.outlook().unwrap();
            let (bytes, erases) = count::<16, 2_048>(&plan, 50_000);
            close(planned.bytes_per_byte, bytes, "bytes, words of 16");
            close(planned.erases_per_1000, erases, "erases, words of 16");
        }
    }

    fn small() -> Plan {
        Plan {
            region: 32 << 10,
            page: 4_096,
            word: 4,
            commit: 80,
            commits_per_hour: 60.0,
            snapshot: 30_000,
            buffer: 512,
            endurance: 100_000,
        }
    }

    #[test]
    fn a_state_that_does_not_fit_is_told_with_the_region_that_would() {
        let mut plan = small();
        let Err(PlanError::Snapshot { region, .. }) = plan.outlook() else { panic!("it fits") };
        plan.region = region;
        assert!(plan.outlook().is_ok());
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
            ("buffer", Plan { buffer: 8_033, ..fits() }),
            ("commit", Plan { commit: 0, ..fits() }),
            ("commit", Plan { commit: u64::MAX, ..fits() }),
            ("commit", Plan { commit: 30_000, ..fits() }),
            ("snapshot", Plan { snapshot: u64::MAX, ..fits() }),
            ("snapshot", Plan { snapshot: BYTES_MAX, ..fits() }),
            ("commits_per_hour", Plan { commits_per_hour: 0.0, ..fits() }),
            ("commits_per_hour", Plan { commits_per_hour: 1e30, ..fits() }),
            ("commits_per_hour", Plan { commits_per_hour: f64::NAN, ..fits() }),
            ("endurance", Plan { endurance: 0, ..fits() }),
        ] {
            assert_eq!(plan.outlook().unwrap_err().field(), field, "{plan:?}");
        }
    }
}
