use std::{io::Write, path::PathBuf};

use interstice_core::{Finding, Limits, LoadedModule, abi::schema::ModuleSchema};
use serde::Serialize;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    output::{self, Format},
    schema::read_wasm,
    style,
};

/// Check a module file without running it.
///
/// Checks that it is valid WebAssembly, its ABI version, memory, imports,
/// exports and schema, and loads it dry.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The `.wasm` file; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// What validating a module file found.
pub(super) struct Verdict {
    /// Everything that is wrong with it.
    pub(super) findings: Vec<Finding>,
    /// Its schema, when nothing is.
    pub(super) schema: Option<ModuleSchema>,
    /// The memory its guest begins with, when nothing is.
    pub(super) memory_bytes: Option<u64>,
}

/// Loads a module dry.
pub(super) fn examine(wasm: &[u8], limits: &Limits) -> Verdict {
    match LoadedModule::new(wasm, limits) {
        Ok(loaded) => Verdict {
            findings: Vec::new(),
            schema: Some(loaded.schema().clone()),
            memory_bytes: Some(loaded.memory_bytes()),
        },
        Err(error) => Verdict { findings: error.findings, schema: None, memory_bytes: None },
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    file: String,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<&'a str>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    findings: Vec<FindingAnswer<'a>>,
}

#[derive(Serialize)]
struct FindingAnswer<'a> {
    at: &'a str,
    what: &'a str,
    fix: &'a str,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let wasm = read_wasm(&self.file)?;
        let verdict = examine(&wasm, &Limits::default());
        let findings = verdict.findings.iter();
        let answer = Answer {
            file: self.file.display().to_string(),
            valid: verdict.schema.is_some(),
            module: verdict.schema.as_ref().map(|schema| schema.module.as_str()),
            bytes: wasm.len(),
            memory_bytes: verdict.memory_bytes,
            findings: findings
                .map(|finding| FindingAnswer {
                    at: &finding.at,
                    what: &finding.what,
                    fix: &finding.fix,
                })
                .collect(),
        };
        output::answer(self.format, &answer, |out| print_text(out, &answer, &verdict))?;
        Ok(if answer.valid { Exit::Good } else { Exit::Bad })
    }
}

fn print_text(out: &mut impl Write, answer: &Answer<'_>, verdict: &Verdict) -> Result<(), Failure> {
    let Some(schema) = &verdict.schema else {
        let count = style::count(answer.findings.len() as u64, "finding");
        writeln!(out, "{}: not valid, {count}", answer.file)?;
        return Ok(writeln!(out, "{}", findings_text(&verdict.findings))?);
    };
    let count = |number: usize, one: &str| style::count(number as u64, one);
    let queries = match schema.queries.len() {
        1 => "1 query".to_owned(),
        many => format!("{many} queries"),
    };
    writeln!(out, "{}: valid", answer.file)?;
    writeln!(
        out,
        "module {}: {}, {}, {queries}; {}, memory {}",
        schema.module,
        count(schema.tables.len(), "table"),
        count(schema.reducers.len(), "reducer"),
        style::bytes(answer.bytes as u64),
        style::bytes(answer.memory_bytes.unwrap_or_default()),
    )?;
    Ok(())
}

/// Where, what and how to mend it, one finding per paragraph.
pub(super) fn findings_text(findings: &[Finding]) -> String {
    let texts = findings.iter().map(|finding| {
        let Finding { at, what, fix } = finding;
        format!("\n{at}\n  what  {what}\n  fix   {fix}")
    });
    texts.collect::<Vec<_>>().join("\n")
}
