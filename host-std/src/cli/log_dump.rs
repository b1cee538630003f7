use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use interstice_core::{
    CommittedState, RecordChange, TxOffset,
    log::frame::{Chain, SegmentHeader},
};

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    log_inspect::{
        Filter,
        record::{self, RecordAnswer},
    },
    open::{DataArgs, Visited},
    output,
};
use crate::{
    data_dir::DataDir,
    database::Go,
    text::{Typed, timestamp},
};

/// Write the commits of a log for other programs.
///
/// CSV has one line per changed row (commits that change none have none): the
/// rows before and after are JSON. JSON and JSONL have what `log-inspect` has.
/// Binary is the log itself as one file, with commits and checksums, as its
/// format says; it takes no filters. Needs memory for the state only.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    filter: Filter,
    /// Format of the commits.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: DumpFormat,
    /// Where to write; `-` for standard output. A file appears when it is whole.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum DumpFormat {
    /// A header line, then one line per changed row.
    Csv,
    /// One JSON object per line and commit.
    #[default]
    Jsonl,
    /// One JSON array of commits.
    Json,
    /// The log as one file.
    Binary,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        if self.format == DumpFormat::Binary && !self.filter.is_everything() {
            return Err(Failure::usage("a binary dump is the whole log: it takes no filters"));
        }
        let dir = self.data.open_dir()?;
        if self.output == Path::new("-") {
            let mut out = output::stdout();
            self.dump(&dir, &mut out)?;
            out.flush()?;
            return Ok(Exit::Good);
        }
        if !self.force && fs::symlink_metadata(&self.output).is_ok() {
            return Err(Failure::usage(format!("{} exists already", self.output.display()))
                .with_help("replace it with --force, or write another file; nothing was changed"));
        }
        let partial = self.output.with_extension("partial");
        let written = self.dump_to(&dir, &partial);
        if written.is_err() {
            // Half a dump is of no use.
            let _ = fs::remove_file(&partial);
        }
        written?;
        fs::rename(&partial, &self.output).map_err(Failure::io("rename", &partial))?;
        Ok(Exit::Good)
    }

    fn dump_to(&self, dir: &DataDir, path: &Path) -> Result<(), Failure> {
        let file = File::create(path).map_err(Failure::io("write", path))?;
        let mut out = BufWriter::with_capacity(256 * 1024, file);
        self.dump(dir, &mut out)?;
        let file =
            out.into_inner().map_err(|error| Failure::io("write", path)(error.into_error()))?;
        file.sync_all().map_err(Failure::io("write", path))
    }

    fn dump(&self, dir: &DataDir, out: &mut dyn Write) -> Result<(), Failure> {
        match self.format {
            DumpFormat::Binary => self.dump_log(dir, out),
            DumpFormat::Csv => self.dump_csv(dir, out),
            DumpFormat::Jsonl => self.filter.visit(&self.data, dir, &mut |state, record| {
                output::write_json_line(&mut &mut *out, &RecordAnswer::of(state, record))
            }),
            DumpFormat::Json => {
                let mut separator = "[\n";
                self.filter.visit(&self.data, dir, &mut |state, record| {
                    write!(out, "{separator}")?;
                    separator = ",\n";
                    Ok(serde_json::to_writer(&mut *out, &RecordAnswer::of(state, record))?)
                })?;
                let end = if separator.starts_with('[') { "[]" } else { "\n]" };
                Ok(writeln!(out, "{end}")?)
            }
        }
    }

    fn dump_csv(&self, dir: &DataDir, out: &mut dyn Write) -> Result<(), Failure> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record([
            "commit", "time", "cause", "module", "reducer", "table", "change", "before", "after",
        ])?;
        self.filter.visit(&self.data, dir, &mut |state, record| {
            let target = record::target(state, record);
            let reducer = target.map_or("", |(_, function)| function.name());
            let (commit, time) = (record.offset.to_string(), timestamp::format(record.time.0));
            for change in &record.changes {
                csv.write_record([
                    &commit,
                    &time,
                    record::cause_name(&record.cause),
                    record::module_name(state, record),
                    reducer,
                    &record::table_name(state, change),
                    record::change_name(change),
                    &row_json(state, change, change.old.as_deref()),
                    &row_json(state, change, change.new.as_deref()),
                ])?;
            }
            Ok(())
        })?;
        Ok(csv.flush()?)
    }

    /// The log as one segment.
    fn dump_log(&self, dir: &DataDir, out: &mut dyn Write) -> Result<(), Failure> {
        let mut history = self.data.history(dir, TxOffset(0))?;
        let first = history.state().next_offset();
        if first > TxOffset(0) {
            return Err(Failure::incomplete(format!(
                "the log begins with commit {first}: what is before it was removed, and a log \
                 without its beginning does not replay"
            )));
        }
        let header: SegmentHeader = history.log_header().first_segment();
        out.write_all(&header.encode())?;
        let mut chain: Chain = header.chain();
        let mut frame = Vec::new();
        let visited = history.visit(|_, _, commit| {
            frame.clear();
            chain.append(commit, true, &mut frame);
            out.write_all(&frame).map_err(Failure::from)?;
            Ok::<Go, Visited>(Go::On)
        });
        visited.map_err(|error| error.into_failure(dir.path()))?;
        Ok(())
    }
}

fn row_json(state: &CommittedState, change: &RecordChange, row: Option<&[u8]>) -> String {
    let Some((table, row)) = state.table_by_id(change.table).zip(row) else {
        return String::new();
    };
    let layout = table.layout();
    let Ok(value) = layout.decode(row) else { return String::new() };
    serde_json::to_string(&Typed { layout, value: &value }).unwrap_or_default()
}
