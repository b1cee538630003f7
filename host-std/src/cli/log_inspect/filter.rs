//! Which commits of a log are shown.

use std::num::NonZeroUsize;

use interstice_core::{Cause, CommittedState, FunctionKind, Record, TxOffset};

use super::{
    listing::{Listing, Newest, WriteRecord},
    record,
};
use crate::{
    cli::{
        failure::Failure,
        open::{Visited, history, torn_tail_text},
        style,
    },
    data_dir::DataDir,
    database::Go,
    text::timestamp,
};

/// Which commits to show: those that every given option lets pass.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Filter {
    /// Only calls of this module, and changes of its tables.
    #[arg(long, value_name = "MODULE")]
    module: Option<String>,
    /// Only commits that change this table (TABLE or MODULE.TABLE).
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Only calls of this reducer (REDUCER or MODULE.REDUCER).
    #[arg(long, value_name = "REDUCER")]
    reducer: Option<String>,
    /// Only calls that failed: subscriptions and scheduled calls. Other calls
    /// that fail leave no trace in the log.
    #[arg(long)]
    failed: bool,
    /// From this position.
    #[arg(long, value_name = "COMMIT", default_value_t = 0, hide_default_value = true)]
    from: u64,
    /// Up to this position, which is included.
    #[arg(long, value_name = "COMMIT")]
    to: Option<u64>,
    /// From this time: 2010-01-01T01:00:00 and 2010-01-01T01:00:00Z are the same,
    /// in UTC; 2010-01-01 is its midnight; 2010-01-01T01:00:00+02:00 is another
    /// zone.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,
    /// Before this time, written as for --since.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<i64>,
    /// No more than this many, the oldest.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// No more than this many, the newest. The log is read to its end, and this
    /// many are held in memory.
    #[arg(long, value_name = "COUNT", conflicts_with = "limit")]
    last: Option<NonZeroUsize>,
    /// The newest first. Only with --last: a log is read forwards.
    #[arg(long, requires = "last")]
    reverse: bool,
}

fn parse_time(text: &str) -> Result<i64, String> {
    timestamp::parse(text).map_err(|why| format!("expected a time {why}"))
}

impl Filter {
    /// Whether no commit from `offset` on can pass.
    fn is_behind(&self, offset: TxOffset) -> bool {
        self.to.is_some_and(|to| offset.0 > to)
    }

    /// Refuses ranges that nothing is in.
    fn check(&self) -> Result<(), Failure> {
        if let Some(to) = self.to.filter(|to| *to < self.from) {
            let why =
                format!("--from {} is behind --to {to}: there is no commit in between", self.from);
            return Err(Failure::usage(why));
        }
        match (self.since, self.until) {
            (Some(since), Some(until)) if since >= until => {
                Err(Failure::usage("--since is not before --until: there is no commit in between"))
            }
            _ => Ok(()),
        }
    }

    /// Whether every commit passes.
    pub(in crate::cli) fn is_everything(&self) -> bool {
        let Self {
            module,
            table,
            reducer,
            failed,
            from,
            to,
            since,
            until,
            limit,
            last,
            reverse: _,
        } = self;
        [module, table, reducer].into_iter().all(Option::is_none)
            && [to, limit].into_iter().all(Option::is_none)
            && [since, until].into_iter().all(Option::is_none)
            && last.is_none()
            && !failed
            && *from == 0
    }

    /// Writes every commit that passes to `listing`. Says where the log ends if
    /// it is not whole, and when a name of the filter was never in it.
    pub(in crate::cli) fn visit(
        &self,
        dir: &DataDir,
        listing: &mut Listing<'_>,
        write: &WriteRecord<'_>,
    ) -> Result<(), Failure> {
        self.check()?;
        let mut history = history(dir, TxOffset(self.from))?;
        if history.first().0 > self.from {
            style::note(format!(
                "the first commit that can be shown is {}: nothing is left of the state before it",
                history.first()
            ));
        }
        let mut passed = 0;
        let mut newest = self.last.map(|count| Newest::new(count.get()));
        let visited = history.visit(|state, offset, commit| {
            if self.is_behind(offset) || self.limit == Some(passed) {
                return Ok(Go::Stop);
            }
            if offset.0 < self.from {
                return Ok(Go::On);
            }
            // What does not read does not replay either, which says where it is.
            let Ok(record) = state.read(offset, commit) else { return Ok(Go::On) };
            let passes = self.passes(state, &record);
            passed += u64::from(passes);
            match &mut newest {
                None if passes => write(listing.next()?, state, &record)?,
                None => {}
                Some(newest) => {
                    let installs = matches!(record.cause, Cause::Install { .. });
                    if passes {
                        newest.push(record);
                    }
                    if installs {
                        newest.write_down(state, write)?;
                    }
                }
            }
            Ok(Go::On)
        });
        // What is before damage was shown; but the newest of it are not the newest.
        let whole = visited.map_err(|error: Visited| error.into_failure(dir.path()))? == Go::On;
        if let Some(newest) = newest {
            newest.write(listing, self.reverse, history.state(), write)?;
        }
        if whole && let Some(torn) = history.end().torn_tail {
            style::note(torn_tail_text(&torn, true));
        }
        let next = history.state().next_offset();
        if whole && self.from > 0 && next.0 <= self.from {
            style::note(match next.0.checked_sub(1) {
                Some(last) => format!("the last commit is {last}"),
                None => "the log has no commit".to_owned(),
            });
        }
        if passed > 0 {
            return Ok(());
        }
        self.check_names(history.state())?;
        if next.0 > self.from {
            style::note("no commit is as it was asked for");
        }
        Ok(())
    }

    /// Checks that what the filter names was there at some time: modules and
    /// tables are never removed.
    fn check_names(&self, state: &CommittedState) -> Result<(), Failure> {
        let unknown = |what: &str, name: &str, known: Vec<String>| {
            let failure = Failure::usage(format!("the log has no {what} `{name}`"));
            match known.is_empty() {
                true => failure.with_help("no module was installed up to there"),
                false => failure.with_help(format!("it has {}", known.join(", "))),
            }
        };
        let modules = || state.modules().iter();
        if let Some(name) = &self.module
            && state.module(name).is_none()
        {
            let known = modules().map(|module| module.name().to_owned()).collect();
            return Err(unknown("module", name, known));
        }
        if let Some(name) = &self.table {
            let tables = || state.tables().iter();
            if !tables().any(|table| is_named(name, table.module_name(), table.name())) {
                let known = tables().map(|t| format!("{}.{}", t.module_name(), t.name()));
                return Err(unknown("table", name, known.collect()));
            }
        }
        if let Some(name) = &self.reducer {
            let reducers = || {
                let functions = modules()
                    .flat_map(|module| module.functions().iter().map(move |f| (module.name(), f)));
                functions.filter(|(_, function)| function.kind() == FunctionKind::Reducer)
            };
            if !reducers().any(|(module, function)| is_named(name, module, function.name())) {
                let known = reducers().map(|(module, f)| format!("{module}.{}", f.name()));
                return Err(unknown("reducer", name, known.collect()));
            }
        }
        Ok(())
    }

    fn passes(&self, state: &CommittedState, record: &Record) -> bool {
        let time = record.time.0;
        self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
            && (!self.failed || record::is_failed(record))
            && self.module.as_ref().is_none_or(|name| touches_module(state, record, name))
            && self.reducer.as_ref().is_none_or(|name| {
                record::target(state, record)
                    .is_some_and(|(module, function)| is_named(name, module, function.name()))
            })
            && self.table.as_ref().is_none_or(|name| {
                record.changes.iter().any(|change| {
                    state
                        .table_by_id(change.table)
                        .is_some_and(|table| is_named(name, table.module_name(), table.name()))
                })
            })
    }
}

fn touches_module(state: &CommittedState, record: &Record, name: &str) -> bool {
    record::module_name(state, record) == name
        || record.changes.iter().any(|change| {
            state.table_by_id(change.table).is_some_and(|table| table.module_name() == name)
        })
}

/// Whether `text` is `name`, or `module.name`.
fn is_named(text: &str, module: &str, name: &str) -> bool {
    match text.split_once('.') {
        Some((wanted, text)) => wanted == module && text == name,
        None => text == name,
    }
}
