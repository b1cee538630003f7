use std::{
    fs::{self, File},
    io::{self, BufWriter, Seek as _, Write},
    path::{Path, PathBuf},
    process,
};

use clap::ValueEnum;
use interstice_core::{
    CommittedState, Record, RecordChange, TxOffset,
    log::frame::{Chain, SegmentHeader},
};

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    interrupt,
    log_inspect::{
        filter::Filter,
        listing::{Listing, Punctuation},
        record::{self, RecordAnswer},
    },
    open::{DataArgs, Visited, history, reading},
    output,
};
use crate::{
    data_dir::DataDir,
    database::Go,
    paths,
    text::{Typed, timestamp},
};

/// Write the commits of a log for other programs.
///
/// CSV has one line per changed row (commits that change none have none): the
/// rows before and after are JSON. JSON and JSONL have what `log-inspect` has.
/// Binary is the log itself as one file, with commits and checksums, as its
/// format says; it takes no filters. As log/00000000000000000000.log in a new
/// directory it is a data directory again; to call its modules, install their files
/// there. Needs memory for the state only, and for
/// what --last asks for.
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
            if self.format == DumpFormat::Binary {
                output::refuse_terminal("a binary dump")?;
            }
            let mut out = output::stdout();
            self.dump(&dir, &mut out)?;
            out.flush()?;
            return Ok(Exit::Good);
        }
        self.refuse_inside(&dir)?;
        // A pipe or a terminal, say: nothing is replaced there.
        let is_special = |there: fs::Metadata| !there.is_file() && !there.is_dir();
        if fs::metadata(&self.output).is_ok_and(is_special) {
            let failed = || Failure::io("write", &self.output);
            let mut out =
                BufWriter::new(File::options().write(true).open(&self.output).map_err(failed())?);
            self.dump(&dir, &mut out)?;
            out.flush().map_err(failed())?;
            return Ok(Exit::Good);
        }
        if !self.force && fs::symlink_metadata(&self.output).is_ok() {
            return Err(Failure::usage(format!("{} exists already", self.output.display()))
                .with_help("replace it with --force, or write another file; nothing was changed"));
        }
        if self.output.is_dir() {
            let failure = Failure::usage(format!("{} is a directory", self.output.display()));
            return Err(failure.with_help("give the name of a file; nothing was changed"));
        }
        // A name of its own: another process may write the same dump.
        let partial = paths::beside(&self.output, &format!(".{}.partial", process::id()));
        interrupt::remove_at(partial.clone());
        let file = File::create_new(&partial).map_err(Failure::io("write", &self.output))?;
        let written = reading(|| self.dump_to(&dir, &file)).and_then(|()| {
            fs::rename(&partial, &self.output).map_err(Failure::io("write", &self.output))
        });
        if written.is_err() {
            // Half a dump is of no use.
            let _ = fs::remove_file(&partial);
        }
        written?;
        let parent = paths::parent(&self.output);
        dir.files().sync_dir(parent).map_err(Failure::io("sync", parent))?;
        Ok(Exit::Good)
    }

    /// Refuses to write into the directory that is read.
    fn refuse_inside(&self, dir: &DataDir) -> Result<(), Failure> {
        match paths::is_in(&self.output, dir.path()).unwrap_or(false) {
            true => Err(Failure::usage(format!(
                "{} is in the data directory itself",
                self.output.display()
            ))
            .with_help("give a file beside it; nothing was changed")),
            false => Ok(()),
        }
    }

    /// Writes the file from its beginning.
    fn dump_to(&self, dir: &DataDir, mut file: &File) -> Result<(), Failure> {
        let path = &self.output;
        let begun = file.set_len(0).and_then(|()| file.rewind());
        begun.map_err(Failure::io("write", path))?;
        let mut out = BufWriter::with_capacity(256 * 1024, Named { path, file });
        self.dump(dir, &mut out)?;
        let out = out.into_inner().map_err(|error| Failure::from(error.into_error()))?;
        out.file.sync_all().map_err(Failure::io("write", path))
    }

    fn dump(&self, dir: &DataDir, out: &mut dyn Write) -> Result<(), Failure> {
        let punctuation = match self.format {
            DumpFormat::Binary => return self.dump_log(dir, out),
            DumpFormat::Json => Punctuation::JSON,
            DumpFormat::Csv | DumpFormat::Jsonl => Punctuation::NONE,
        };
        if self.format == DumpFormat::Csv {
            write_csv(out, |csv| csv.write_record(CSV_COLUMNS))?;
        }
        let mut listing = Listing::new(out, punctuation);
        let visited =
            self.filter.visit(dir, &mut listing, &|out, state, record| match self.format {
                DumpFormat::Csv => write_changes(out, state, record),
                DumpFormat::Json => {
                    Ok(serde_json::to_writer(out, &RecordAnswer::of(state, record))?)
                }
                _ => output::write_json_line(&mut &mut *out, &RecordAnswer::of(state, record)),
            });
        // What is there reads as a whole, also before damage.
        if visited.is_ok() || !listing.is_empty() {
            listing.end()?;
        }
        visited
    }

    /// The log as one segment.
    fn dump_log(&self, dir: &DataDir, out: &mut dyn Write) -> Result<(), Failure> {
        let mut history = history(dir, TxOffset(0))?;
        let first = history.state().next_offset();
        if first > TxOffset(0) {
            return Err(Failure::incomplete(format!(
                "the log begins with commit {first}: what is before it was removed, and a log \
                 without its beginning does not replay"
            ))
            .with_help("write the commits that are left as JSONL, or copy the data directory"));
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

/// A file whose errors name it.
struct Named<'a> {
    path: &'a Path,
    file: &'a File,
}

impl Write for Named<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

const CSV_COLUMNS: [&str; 9] =
    ["commit", "time", "cause", "module", "reducer", "table", "change", "before", "after"];

/// Writes the changes of a commit, a line each.
fn write_changes(
    out: &mut dyn Write,
    state: &CommittedState,
    record: &Record,
) -> Result<(), Failure> {
    let reducer = record::target(state, record).map_or("", |(_, function)| function.name());
    let (commit, time) = (record.offset.to_string(), timestamp::format(record.time.0));
    write_csv(out, |csv| {
        record.changes.iter().try_for_each(|change| {
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
            ])
        })
    })
}

fn write_csv<'a>(
    out: &'a mut dyn Write,
    write: impl FnOnce(&mut csv::Writer<&'a mut dyn Write>) -> csv::Result<()>,
) -> Result<(), Failure> {
    let mut csv = csv::WriterBuilder::new().buffer_capacity(1024).from_writer(out);
    write(&mut csv)?;
    Ok(csv.flush()?)
}

fn row_json(state: &CommittedState, change: &RecordChange, row: Option<&[u8]>) -> String {
    let Some((table, row)) = state.table_by_id(change.table).zip(row) else {
        return String::new();
    };
    let layout = table.layout();
    let Ok(value) = layout.decode(row) else { return String::new() };
    serde_json::to_string(&Typed { layout, value: &value }).unwrap_or_default()
}
