//! Medians, tables, ratios and goals.

use comfy_table::Table;

use crate::{
    median::median,
    peers::{Pattern, Peer},
    table::{align, empty},
};

/// What one turn took; or the medians of many.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    pub(super) written_per_second: f64,
    pub(super) read_per_second: f64,
    pub(super) bytes_per_record: f64,
}

pub(super) type Figures = Turn;

pub(super) fn medians(turns: &[Turn]) -> Figures {
    let of = |what: fn(&Turn) -> f64| median(&turns.iter().map(what).collect::<Vec<_>>());
    Turn {
        written_per_second: of(|turn| turn.written_per_second),
        read_per_second: of(|turn| turn.read_per_second),
        bytes_per_record: of(|turn| turn.bytes_per_record),
    }
}

/// Everybody's figures in one pattern.
pub(super) fn table(peers: &[Box<dyn Peer>], figures: &[Figures]) -> Table {
    let mut table = empty(["log", "records/s", "bytes on disk each", "read and verified/s"]);
    for (peer, figures) in peers.iter().zip(figures) {
        let unverified = if peer.verifies() { "" } else { "unverified: " };
        table.add_row([
            peer.name().to_owned(),
            format!("{:.0}", figures.written_per_second),
            format!("{:.1}", figures.bytes_per_record),
            format!("{unverified}{:.0}", figures.read_per_second),
        ]);
    }
    align(table)
}

/// Our figures over those of the fastest peer, pattern by pattern. Reading that
/// verifies nothing does not count.
pub(super) fn summary(
    peers: &[Box<dyn Peer>],
    patterns: &[(usize, Pattern, Vec<Figures>)],
) -> Table {
    let mut table = empty(["record", "pattern", "written", "read and verified", "bytes each"]);
    for (len, pattern, figures) in patterns {
        let [ours, others @ ..] = &figures[..] else { continue };
        let ratio = |what: fn(&Figures) -> f64, counts: fn(&dyn Peer) -> bool| {
            let named = peers.iter().skip(1).zip(others.iter().map(what));
            match named.filter(|(peer, _)| counts(&***peer)).max_by(|a, b| a.1.total_cmp(&b.1)) {
                Some((peer, most)) => format!("{:.2} x {}", what(ours) / most, peer.name()),
                None => String::new(),
            }
        };
        table.add_row([
            format!("{len} B"),
            pattern.name.to_owned(),
            ratio(|figures| figures.written_per_second, |_| true),
            ratio(|figures| figures.read_per_second, |peer| peer.verifies()),
            format!("{:.1}", ours.bytes_per_record),
        ]);
    }
    align(table)
}
