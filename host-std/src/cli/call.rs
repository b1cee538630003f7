use std::{
    io::{self, Read},
    path::Path,
};

use interstice_core::{
    CallErrorKind, CommittedState, Failure as CallFailure, Function, FunctionRef, InstalledModule,
    SubscriptionFailure, abi::layout::Layout,
};
use serde::Serialize;

use super::{
    exit::Exit,
    failure::{FailedCall, Failure, Outcome},
    guest_log::{GuestLevel, GuestLogArgs},
    open::{DataArgs, close, find_reducer},
    output::{self, Format, RowsFormat},
    persistence::PersistenceArgs,
    style,
};
use crate::{
    database::{Database, DatabaseError},
    persistence::Durability,
    text::{TextError, Typed, arguments_from_json, arguments_from_words, parse_json},
};

/// Call a reducer.
///
/// The call, and what it triggers, is on the disk before it is answered, unless
/// the durability is `system`: then it is when the command has ended.
#[derive(Debug, clap::Args)]
#[command(after_long_help = VALUES)]
pub(super) struct Args {
    /// The reducer, as MODULE.REDUCER.
    #[arg(value_name = "MODULE.REDUCER")]
    reducer: String,
    #[command(flatten)]
    arguments: Arguments,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    guest_log: GuestLogArgs,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    persistence: PersistenceArgs,
}

/// How values are written, for the end of `--help`.
pub(super) const VALUES: &str = r#"How values are written:
  string     name=Ada        name="two words"
  number     limit=10        temperature=-2.5
  bool       urgent=true
  bytes      raw=00ff7f                          hexadecimal digits
  timestamp  at=2010-01-01T01:00:00Z             UTC, with or without the Z
             at=2010-01-01T01:00:00+02:00        another zone
             at=1262307600000000                 microseconds since 1970
  option     note=hello      note=               nothing: there is none
             note='""'                           a string that is there, and empty
  list       tags='["a", "b"]'
  struct     place='{"x": 1, "y": 2}'
  enum       kind=Frost      kind='{"Wind": {"speed": 21.5}}'
All arguments at once, as JSON: '{"name": "Ada", "limit": 10}', or '["Ada", 10]'."#;

/// The arguments of a call, in the forms that a shell makes easy.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Arguments {
    /// The arguments: all as NAME=VALUE, or all by position; or one JSON
    /// object or array; or `-` to read that from standard input.
    #[arg(value_name = "ARGUMENT", allow_negative_numbers = true)]
    words: Vec<String>,
}

impl Arguments {
    /// The arguments of `function`, in row layout.
    pub(super) fn encode(&self, address: &str, function: &Function) -> Result<Vec<u8>, Failure> {
        let params = function.args();
        self.note_unknown_name(params);
        let wrong = |error: TextError| {
            Failure::usage(format!("{address}: {error}")).with_help(match params.fields() {
                [] => "it has no parameters".to_owned(),
                _ => format!(
                    "its parameters are {params}: all as NAME=VALUE, or the values in this order, or \
                     one JSON object"
                ),
            })
        };
        let value = match self.words.as_slice() {
            [word] if is_json(word, params) => {
                let json = read_json(word)?;
                arguments_from_json(params, &json).map_err(wrong)?
            }
            words => arguments_from_words(params, words).map_err(wrong)?,
        };
        let mut args = Vec::new();
        params.encode(&value, &mut args).map_err(|error| wrong(error.into()))?;
        Ok(args)
    }
}

impl Arguments {
    /// A word that looks as if it named another parameter is a value.
    fn note_unknown_name(&self, params: &Layout) {
        let ([word], [field]) = (self.words.as_slice(), params.fields()) else { return };
        let Some((name, _)) = word.split_once('=') else { return };
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if is_name && name != field.name {
            style::note(format!(
                "there is no parameter `{name}`: the whole word is taken as the value of `{}`",
                field.name
            ));
        }
    }
}

/// Whether the only word is all arguments rather than the first of them.
fn is_json(word: &str, params: &Layout) -> bool {
    let braces = word.starts_with('{') || (word.starts_with('[') && !takes_list(params));
    word == "-" || braces
}

/// One parameter that is itself written with brackets gets them as its own.
fn takes_list(params: &Layout) -> bool {
    use interstice_core::abi::layout::Kind;
    matches!(params.fields(), [field] if matches!(field.layout.kind(), Kind::List(_)))
}

fn read_json(word: &str) -> Result<serde_json::Value, Failure> {
    let mut text = word.to_owned();
    let mut help = "a text that begins with a bracket is given as NAME=VALUE";
    if word == "-" {
        text.clear();
        help = "`-` reads the arguments as one JSON object, or array, from standard input";
        let read = io::stdin().lock().read_to_string(&mut text);
        read.map_err(Failure::io("read", Path::new("standard input")))?;
        if text.trim_ascii().is_empty() {
            return Err(Failure::usage("standard input is empty").with_help(help));
        }
    }
    parse_json(text.as_bytes()).map_err(|error| match error.is_data() {
        true => Failure::usage(format!("the arguments: {error}")),
        false => Failure::usage(format!("the arguments are not JSON: {error}")).with_help(help),
    })
}

#[derive(Serialize)]
struct Answer<'a> {
    commit: u64,
    fuel: u64,
    state_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Typed<'a>>,
    /// What ran before or behind the call, and failed.
    failed: Vec<FailedAnswer>,
}

/// A triggered or scheduled reducer that failed, for programs.
#[derive(Serialize)]
pub(super) struct FailedAnswer {
    commit: u64,
    function: String,
    reason: String,
}

impl FailedAnswer {
    pub(super) fn all(failures: &[SubscriptionFailure], state: &CommittedState) -> Vec<Self> {
        let answer = |failure: &SubscriptionFailure| Self {
            commit: failure.offset.0,
            function: function_name(state, failure.function),
            reason: failure.reason.clone(),
        };
        failures.iter().map(answer).collect()
    }
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let mut database = self.data.open(&self.persistence)?;
        self.guest_log.show(&mut database, GuestLevel::Info);
        let (reducer, function) = find_reducer(&database, &self.reducer)?;
        let args = self.arguments.encode(&self.reducer, &function)?;
        let mut failures = run_due_first(&mut database)?;
        let called =
            database.call(reducer, &args).map_err(|error| call_failure(&function, &error))?;
        let result = match function.returns() {
            Some(layout) => {
                Some((layout, layout.decode(&called.result).map_err(Failure::incomplete)?))
            }
            None => None,
        };
        failures.extend(called.failures);
        let answer = Answer {
            failed: FailedAnswer::all(&failures, database.state()),
            commit: called.offset.0,
            fuel: called.fuel,
            state_hash: format!("{:016x}", database.state().state_hash()),
            result: result.as_ref().map(|(layout, value)| Typed { layout, value }),
        };
        output::answer(self.format, &answer, |out| match &result {
            Some((layout, value)) => output::write_value(out, RowsFormat::Text, layout, value),
            None => Ok(()),
        })
        .map_err(|failure| {
            let (commit, place) = (answer.commit, kept_where(&database));
            failure.but_done(format!("do not call again: the call is commit {commit}, {place}"))
        })?;
        note_failures(&failures, failures.len() as u64, &database, &self.data);
        if self.format == Format::Text {
            let (commit, fuel) = (answer.commit, style::thousands(answer.fuel));
            style::say(format!("commit {commit}, fuel {fuel}, {}", kept_where(&database)));
        }
        close(database)?;
        Ok(Exit::Good)
    }
}

/// Where a commit is that was acknowledged, for a person.
pub(super) fn kept_where(database: &Database) -> &'static str {
    match database.config().durability {
        Durability::System => "handed to the operating system",
        Durability::EveryCommit | Durability::Group => "on the disk",
    }
}

/// Runs what was scheduled and is due. Returns what of it failed.
pub(super) fn run_due(database: &mut Database) -> Result<Vec<SubscriptionFailure>, Failure> {
    database.run_due().map_err(Failure::incomplete)
}

/// Runs what was scheduled and is due before something else, and says so.
pub(super) fn run_due_first(database: &mut Database) -> Result<Vec<SubscriptionFailure>, Failure> {
    let first = database.state().next_offset();
    let failures = run_due(database);
    let commits = database.state().next_offset().0 - first.0;
    if commits > 0 {
        let commits = style::count(commits, "commit");
        style::note(format!("what was due ran first: {commits}, from commit {first} on"));
    }
    failures
}

/// Failures that are told one by one.
const FAILURES_SHOWN: usize = 3;

/// Says that triggered reducers failed, `count` in all: the call that triggered
/// them did not.
pub(super) fn note_failures(
    failures: &[SubscriptionFailure],
    count: u64,
    database: &Database,
    data: &DataArgs,
) {
    for failure in failures.iter().take(FAILURES_SHOWN) {
        let name = function_name(database.state(), failure.function);
        let reason = style::printable(&failure.reason);
        style::note(format!("{name}, which was triggered, failed: {reason}"));
    }
    if count > 0 {
        style::note(format!(
            "{} behind it failed; see `interstice log-inspect{} --failed`",
            style::count(count, "subscription or scheduled call"),
            data.as_words()
        ));
    }
}

/// A function as `module.function`.
pub(super) fn function_name(state: &CommittedState, function: FunctionRef) -> String {
    let module = state.module_by_id(function.module).map_or("?", InstalledModule::name);
    let name = state.function(function).map_or("?", Function::name);
    format!("{module}.{name}")
}

/// Why a call or query has no effect, for programs.
pub(super) fn failed_call(function: &Function, error: &DatabaseError) -> FailedCall {
    let failure = match &error.kind {
        CallErrorKind::Failed(failure) => Some(&**failure),
        _ => None,
    };
    let kind = match failure {
        Some(CallFailure::Error(_)) => "error",
        Some(CallFailure::Trap { .. }) => "panic",
        Some(CallFailure::OutOfFuel { .. }) => "fuel",
        Some(CallFailure::Rule(_)) => "rule",
        Some(CallFailure::Limit(_)) => "limit",
        Some(_) => "host",
        None => "not-run",
    };
    let value = match (failure, function.error()) {
        (Some(CallFailure::Error(value)), Some(layout)) => {
            layout.decode(value).ok().map(|value| (layout.clone(), value))
        }
        _ => None,
    };
    FailedCall { function: error.function.clone(), kind, value }
}

/// Why a call has no effect, with its typed error if it returned one.
pub(super) fn call_error_text(function: &Function, error: &DatabaseError) -> String {
    let text = match (&error.kind, function.error()) {
        (CallErrorKind::Failed(failure), Some(layout)) => match &**failure {
            CallFailure::Error(value) => {
                format!("`{}` returned its error: {}", error.function, layout.display(value))
            }
            _ => error.to_string(),
        },
        _ => error.to_string(),
    };
    style::printable(&text).into_owned()
}

/// How a command ends whose call has no effect.
pub(super) fn call_failure(function: &Function, error: &DatabaseError) -> Failure {
    let failure = match &error.kind {
        CallErrorKind::Failed(_) => {
            let text = call_error_text(function, error);
            Failure::bad(format!("{text}; it changed nothing"))
        }
        CallErrorKind::Behind { .. } | CallErrorKind::Log(_) | CallErrorKind::Poisoned => {
            Failure::incomplete(error)
        }
        _ => Failure::usage(error),
    };
    failure.with_call(failed_call(function, error))
}
