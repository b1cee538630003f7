//! Tables as Markdown.

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};

pub(crate) fn empty<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header);
    table
}

/// Numbers to the right.
pub(crate) fn align(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
