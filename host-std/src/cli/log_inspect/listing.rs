//! Commits, written one behind another.

use std::{collections::VecDeque, io::Write};

use interstice_core::{CommittedState, Record};

use crate::cli::failure::Failure;

/// Writes a commit; the state has the schema that was in force at it.
pub(in crate::cli) type WriteRecord<'a> =
    dyn Fn(&mut dyn Write, &CommittedState, &Record) -> Result<(), Failure> + 'a;

/// What stands around the commits of a format.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Punctuation {
    before_first: &'static str,
    before_others: &'static str,
    after_last: &'static str,
    /// All of it, when there is no commit.
    none: &'static str,
}

impl Punctuation {
    /// Commits that end themselves.
    pub(in crate::cli) const NONE: Self =
        Self { before_first: "", before_others: "", after_last: "", none: "" };
    /// An empty line between two.
    pub(super) const APART: Self = Self { before_others: "\n", ..Self::NONE };
    /// One array.
    pub(in crate::cli) const JSON: Self =
        Self { before_first: "[\n", before_others: ",\n", after_last: "\n]\n", none: "[]\n" };
    /// A document each.
    pub(super) const YAML: Self =
        Self { before_first: "---\n", before_others: "---\n", ..Self::NONE };
}

/// Where commits are written to one by one, so that a long log needs no memory.
pub(in crate::cli) struct Listing<'a> {
    out: &'a mut dyn Write,
    punctuation: Punctuation,
    written: u64,
}

impl<'a> Listing<'a> {
    pub(in crate::cli) fn new(out: &'a mut dyn Write, punctuation: Punctuation) -> Self {
        Self { out, punctuation, written: 0 }
    }

    /// Where the next commit is to be written.
    pub(super) fn next(&mut self) -> Result<&mut dyn Write, Failure> {
        let Punctuation { before_first, before_others, .. } = self.punctuation;
        let before = if self.written == 0 { before_first } else { before_others };
        self.out.write_all(before.as_bytes())?;
        self.written += 1;
        Ok(self.out)
    }

    /// Whether nothing was written yet.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Ends the list.
    pub(in crate::cli) fn end(self) -> Result<(), Failure> {
        let Punctuation { after_last, none, .. } = self.punctuation;
        let after = if self.written == 0 { none } else { after_last };
        Ok(self.out.write_all(after.as_bytes())?)
    }
}

/// The newest commits. Only what is shown in the end is written down, and what
/// would mean something else later.
pub(super) struct Newest {
    count: usize,
    kept: VecDeque<Kept>,
}

enum Kept {
    Record(Box<Record>),
    /// As it is to be written.
    Text(Vec<u8>),
}

impl Newest {
    /// Keeps `count` of them.
    pub(super) fn new(count: usize) -> Self {
        Self { count, kept: VecDeque::new() }
    }

    /// Takes one. The oldest one goes when it is too many.
    pub(super) fn push(&mut self, record: Record) {
        if self.kept.len() >= self.count {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept::Record(Box::new(record)));
    }

    /// Writes all down that are kept, because the schema of `state`, which they
    /// are read with, is about to change.
    pub(super) fn write_down(
        &mut self,
        state: &CommittedState,
        write: &WriteRecord<'_>,
    ) -> Result<(), Failure> {
        for kept in &mut self.kept {
            if let Kept::Record(record) = kept {
                let mut text = Vec::new();
                write(&mut text, state, record)?;
                *kept = Kept::Text(text);
            }
        }
        Ok(())
    }

    /// Writes them, the newest first if they are to be reversed.
    pub(super) fn write(
        self,
        listing: &mut Listing<'_>,
        reverse: bool,
        state: &CommittedState,
        write: &WriteRecord<'_>,
    ) -> Result<(), Failure> {
        let mut show = |kept: Kept| match kept {
            Kept::Record(record) => write(listing.next()?, state, &record),
            Kept::Text(text) => Ok(listing.next()?.write_all(&text)?),
        };
        match reverse {
            true => self.kept.into_iter().rev().try_for_each(&mut show),
            false => self.kept.into_iter().try_for_each(&mut show),
        }
    }
}
