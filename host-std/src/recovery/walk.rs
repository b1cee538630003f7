//! The segments of a damaged log, from good place to good place.

use std::path::Path;

use interstice_core::{
    CommittedState, Dependence, RecordChange, Repaired, ReplayFault, TxOffset,
    log::{
        commit::Commit,
        frame::{Chain, FrameKind, HEADER_LEN, Read, SegmentHeader, Tail, next_good},
    },
};

use super::{
    Commits, Damage, Dependent, Log, Mode, RecoveryError, Report, base::Base, hash_text,
    segments::Segment,
};
use crate::{
    data_dir::DataDir,
    file_system::{self, SharedFileSystem},
};

/// Where the commits of a repaired log go.
pub(super) type Sink<'a> = &'a mut dyn FnMut(TxOffset, &[u8]) -> Result<(), RecoveryError>;

/// Commits in a row that can be lost: something stands for each. A position in
/// a file that is farther away was not reached by a log.
const GAP_MAX: u64 = 1 << 28;

struct Walk<'a> {
    files: SharedFileSystem,
    log: Log,
    mode: Mode,
    state: CommittedState,
    report: Report,
    sink: Sink<'a>,
    /// The number of tables when the first damage was met.
    tables_known: Option<usize>,
    /// The position behind the commit that was read last, and the hash of the
    /// state that it recorded.
    recorded: Option<(TxOffset, u64)>,
}

/// Whether to read on.
#[derive(PartialEq, Eq)]
enum Next {
    On,
    Stop,
}

/// As [`walk`]. All damage is reported, also where the log is not used, and what
/// is lost behind a log that ends early, as far as the damaged one says how many
/// commits it had.
pub(super) fn walk_and_count(
    dir: &DataDir,
    base: Base,
    mode: Mode,
    sink: Sink<'_>,
) -> Result<Report, RecoveryError> {
    let report = walk(base, mode, sink)?;
    let mut report = match mode {
        Mode::Skip => report,
        // Where nobody can say what was behind, that is lost, too.
        _ => match examine_whole(dir) {
            Ok(whole) => count(report, &whole),
            Err(_) => Report { lost_end: true, ..report },
        },
    };
    if report.damage.is_empty() {
        // All that can be read is whole.
        let what = "a snapshot there does not go with the log: `log-check` names it".to_owned();
        let file = dir.snapshots_dir();
        report.damage.push(Damage { file, from: 0, to: 0, commit: report.next_commit, what });
    }
    Ok(report)
}

/// What skipping what is damaged would do: it reads everything.
pub(super) fn examine_whole(dir: &DataDir) -> Result<Report, RecoveryError> {
    walk(super::base::find(dir, Mode::Skip)?, Mode::Skip, &mut |_, _| Ok(()))
}

/// A report with all the damage and the end of the log, which are in `whole`.
pub(super) fn count(mut report: Report, whole: &Report) -> Report {
    report.damage.clone_from(&whole.damage);
    report.lost_end |= whole.lost_end;
    if whole.next_commit > report.next_commit {
        let (first, last) = (report.next_commit, whole.next_commit - 1);
        report.lost.push(Commits { first, last });
    }
    report
}

/// Hands the commits of the repaired log to `sink`, in order.
pub(super) fn walk(base: Base, mode: Mode, sink: Sink<'_>) -> Result<Report, RecoveryError> {
    let Base { files, log, state, segments, damage, known_end, lost_end } = base;
    let begin = state.next_offset();
    let recorded = Some((begin, state.state_hash()));
    let snapshot = (begin.0 > 0).then_some(begin.0);
    let report = Report { damage, snapshot, lost_end, ..Report::default() };
    let mut walk = Walk { files, log, mode, state, report, sink, tables_known: None, recorded };
    let mut before: Option<(SegmentHeader, Chain)> = None;
    for (index, segment) in segments.iter().enumerate() {
        let is_newest = index + 1 == segments.len();
        let Some((chain, header)) = walk.begin_segment(segment, before) else {
            // Behind a damaged header were commits.
            walk.report.lost_end |= is_newest && segment.header.is_err();
            match mode {
                Mode::Skip => continue,
                _ => break,
            }
        };
        let before_it = walk.position();
        let (end, next) = walk.read_segment(segment, chain, is_newest)?;
        walk.report.lost_end |= is_newest && header.is_none() && walk.position() == before_it;
        if next == Next::Stop {
            break;
        }
        before = header.zip(end);
    }
    if mode == Mode::Skip {
        walk.fill_gap(known_end.0, &known_end.1)?;
    }
    let Walk { state, mut report, .. } = walk;
    report.next_commit = state.next_offset().0;
    report.state_hash = hash_text(state.state_hash());
    Ok(report)
}

impl Walk<'_> {
    fn position(&self) -> TxOffset {
        self.state.next_offset()
    }

    fn damage(&mut self, segment: &Segment, from: usize, to: usize, what: String) {
        self.tables_known.get_or_insert(self.state.tables().len());
        let file = segment.path.clone();
        let commit = self.position().0;
        self.report.damage.push(Damage { file, from: from as u64, to: to as u64, commit, what });
    }

    /// The chain that a segment's first frame needs; `None` when the segment is
    /// not read.
    fn begin_segment(
        &mut self,
        segment: &Segment,
        before: Option<(SegmentHeader, Chain)>,
    ) -> Option<(Chain, Option<SegmentHeader>)> {
        let header = match &segment.header {
            Ok(header) => *header,
            Err(what) => {
                let len = usize::try_from(segment.len).unwrap_or(HEADER_LEN).min(HEADER_LEN);
                self.damage(segment, 0, len, what.clone());
                let wanted = self.mode == Mode::Skip && segment.first >= self.position();
                return segment.chain(&self.log).filter(|_| wanted).map(|chain| (chain, None));
            }
        };
        let follows = match before {
            Some((before, end)) => header.follows(&before, end),
            None => header.first == self.position(),
        };
        if !follows && (before.is_some() || self.tables_known.is_none()) {
            let what = "it does not go on where the log before it ends".to_owned();
            self.damage(segment, 0, HEADER_LEN, what);
        }
        let usable = header.first >= self.position() && (follows || self.mode == Mode::Skip);
        usable.then_some((header.chain(), Some(header)))
    }

    /// Reads the frames of a segment. Returns the chain at its end, if that is
    /// where the next one goes on.
    fn read_segment(
        &mut self,
        segment: &Segment,
        mut chain: Chain,
        is_newest: bool,
    ) -> Result<(Option<Chain>, Next), RecoveryError> {
        let read = file_system::read(&*self.files, &segment.path);
        let bytes = &read.map_err(RecoveryError::io("read", &segment.path))?;
        let mut at = HEADER_LEN;
        // Whether everything up to there is good.
        let mut is_whole = segment.header.is_ok();
        while at < bytes.len() {
            let frame = match chain.read(&bytes[at..]) {
                Read::Frame(frame) if frame.kind != FrameKind::Block => frame,
                _ => {
                    let found = next_good(bytes, at, chain);
                    // What a crash left of the last writes: nothing behind it says
                    // that it was durable.
                    let is_torn = is_newest
                        && is_whole
                        && matches!(Tail::of(bytes, at, chain), Tail::Torn { .. });
                    let Some((next, behind)) = found.filter(|_| !is_torn) else {
                        return Ok((None, self.end_badly(segment, at, &bytes[at..], is_newest)));
                    };
                    self.damage(segment, at, next, "the commits there do not verify".into());
                    if self.mode != Mode::Skip {
                        return Ok((None, Next::Stop));
                    }
                    (at, chain, is_whole) = (next, behind, false);
                    self.fill_gap(behind.next_offset(), &segment.path)?;
                    continue;
                }
            };
            for (offset, commit) in frame.commits() {
                if self.commit(segment, at, frame.len, offset, commit)? == Next::Stop {
                    return Ok((None, Next::Stop));
                }
            }
            at += frame.len;
            if frame.kind == FrameKind::Seal {
                if at < bytes.len() {
                    self.damage(segment, at, bytes.len(), "it goes on behind its seal".into());
                }
                return Ok((Some(chain), Next::On));
            }
        }
        if !is_newest {
            self.damage(segment, at, at, "its seal is missing".into());
            return Ok((None, if self.mode == Mode::Skip { Next::On } else { Next::Stop }));
        }
        Ok((Some(chain), Next::On))
    }

    /// Nothing good follows in the segment, only this `rest` of it. Zeros at its end
    /// are nothing: files grow ahead by them.
    fn end_badly(&mut self, segment: &Segment, at: usize, rest: &[u8], is_newest: bool) -> Next {
        if is_newest {
            let last = rest.iter().rposition(|byte| *byte != 0);
            self.report.torn_bytes = last.map_or(0, |last| last as u64 + 1);
            return Next::On;
        }
        self.damage(segment, at, at + rest.len(), "nothing behind it verifies".into());
        if self.mode == Mode::Skip { Next::On } else { Next::Stop }
    }

    fn commit(
        &mut self,
        segment: &Segment,
        at: usize,
        len: usize,
        offset: TxOffset,
        commit: &[u8],
    ) -> Result<Next, RecoveryError> {
        if offset < self.position() {
            return Ok(Next::On);
        }
        self.fill_gap(offset, &segment.path)?;
        let before = self.recorded.filter(|(behind, _)| *behind == offset).map(|(_, hash)| hash);
        let recorded = Commit::decode(commit).ok().map(|commit| commit.state_hash);
        self.recorded = recorded.map(|hash| (offset.next(), hash));
        if self.tables_known.is_none() {
            match self.state.keep(commit, before) {
                Ok(kept) => return self.kept(offset, &kept),
                Err(why) => self.damage(segment, at, at + len, why.to_string()),
            }
            if self.mode != Mode::Skip {
                return Ok(Next::Stop);
            }
        }
        let record = self.state.read(offset, commit).ok();
        let pending = self.state.pending() as u64;
        let known = self.tables_known.unwrap_or_default();
        let (repaired, verdict) = self.state.repair(commit, before, known);
        let (why, taken, left) = match verdict {
            Repaired::Kept => return self.kept(offset, &repaired),
            Repaired::TakenOver { why, taken, left } => (why, taken, left),
            Repaired::Lost { why } => (why, 0, 0),
        };
        self.report.dropped_subscriptions += pending;
        let is_unreadable = matches!(
            why,
            Dependence::Misfit(ReplayFault::UnknownModule(_) | ReplayFault::UnknownTable(_))
        ) || known == 0;
        self.report.unreadable += u64::from(is_unreadable);
        let tables = record.map_or_else(Vec::new, |record| self.tables_of(&record.changes));
        let (commit, why) = (offset.0, why.to_string());
        self.report.dependent.push(Dependent { commit, why, tables, taken, left });
        (self.sink)(offset, &repaired)?;
        Ok(Next::On)
    }

    fn kept(&mut self, offset: TxOffset, commit: &[u8]) -> Result<Next, RecoveryError> {
        self.report.kept += 1;
        (self.sink)(offset, commit)?;
        Ok(Next::On)
    }

    /// Fills the positions up to `offset`, whose commits are lost by what is in
    /// `file`.
    fn fill_gap(&mut self, offset: TxOffset, file: &Path) -> Result<(), RecoveryError> {
        let first = self.position();
        if first >= offset {
            return Ok(());
        }
        if offset.0 - first.0 > GAP_MAX {
            let file = file.to_owned();
            return Err(RecoveryError::Gap { file, first: first.0, last: offset.0 - 1 });
        }
        self.report.dropped_subscriptions += self.state.pending() as u64;
        while self.position() < offset {
            let position = self.position();
            let commit = self.state.repair_lost();
            (self.sink)(position, &commit)?;
        }
        self.report.lost.push(Commits { first: first.0, last: offset.0 - 1 });
        Ok(())
    }

    fn tables_of(&self, changes: &[RecordChange]) -> Vec<String> {
        let tables = changes.iter().filter_map(|change| self.state.table_by_id(change.table));
        let mut names: Vec<String> =
            tables.map(|table| format!("{}.{}", table.module_name(), table.name())).collect();
        names.sort();
        names.dedup();
        names
    }
}
