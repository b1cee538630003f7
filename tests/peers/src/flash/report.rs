//! The tables.

use comfy_table::Table;

use super::flips::Flips;
use crate::table::{align, empty};

/// What it costs to append records of one length.
pub(super) struct Costs {
    pub(super) bytes_per_byte: f64,
    pub(super) programs_per_record: f64,
    pub(super) erases_per_1000: f64,
    pub(super) words_twice: u64,
}

/// Everything about one peer.
pub(super) struct Figures {
    pub(super) name: &'static str,
    pub(super) small: Costs,
    pub(super) large: Costs,
    /// Bytes of the object, and of buffers that the caller holds.
    pub(super) memory: (usize, usize),
    pub(super) records_per_second: f64,
    /// Bytes read from opening until it can append.
    pub(super) read: u64,
    pub(super) flips: Flips,
}

/// What appending costs: each figure for the two lengths.
pub(super) fn costs(figures: &[Figures]) -> Table {
    let mut table = empty([
        "log",
        "bytes programmed per byte",
        "programs per record",
        "erases per 1,000",
        "words twice",
        "records/s, 32 B",
    ]);
    for Figures { name, small, large, records_per_second, .. } in figures {
        table.add_row([
            (*name).to_owned(),
            format!("{:.3} / {:.3}", small.bytes_per_byte, large.bytes_per_byte),
            format!("{:.3} / {:.3}", small.programs_per_record, large.programs_per_record),
            format!("{:.1} / {:.1}", small.erases_per_1000, large.erases_per_1000),
            (small.words_twice + large.words_twice).to_string(),
            format!("{records_per_second:.0}"),
        ]);
    }
    align(table)
}

/// What it holds in memory, reads to open, and makes of a wrong bit.
pub(super) fn opening(figures: &[Figures]) -> Table {
    let mut table = empty([
        "log",
        "bytes of memory",
        "bytes read to be ready",
        "same data",
        "reported",
        "silently lost or wrong",
        "panic or no end",
    ]);
    for Figures { name, memory: (object, buffer), read, flips, .. } in figures {
        let memory = match buffer {
            0 => object.to_string(),
            buffer => format!("{object} + {buffer}"),
        };
        table.add_row([
            (*name).to_owned(),
            memory,
            read.to_string(),
            flips.same.to_string(),
            flips.reported.to_string(),
            flips.silent.to_string(),
            flips.stuck.to_string(),
        ]);
    }
    align(table)
}
