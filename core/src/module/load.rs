//! Module file -> checked code and schema. Nothing of the guest runs.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use abi::{
    ABI_VERSION, host_calls,
    schema::{ModuleSchema, SchemaError},
};
use interstice_abi as abi;
use sha2::{Digest, Sha256};
use wasmi::{CompilationMode, Config, CustomFuelCosts, Engine};

use super::{
    BUILD_IT,
    outline::Outline,
    trust::{Refused, Trusted},
};
use crate::{
    limits::Limits,
    state::{CommittedState, InstallRefusal},
};

/// One thing that is wrong with a module file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: a section, import, export or function.
    pub at: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.at, self.what, self.fix)
    }
}

/// Why a module file is refused: everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// At least one finding.
    pub findings: Vec<Finding>,
}

impl LoadError {
    fn one(at: &str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        let finding = Finding { at: at.to_owned(), what: what.into(), fix: fix.into() };
        Self { findings: Vec::from([finding]) }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl core::error::Error for LoadError {}

/// What is kept of a module file to run it.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) module: wasmi::Module,
    /// Bytes of memory that a guest begins with.
    memory_bytes: u64,
    /// What a call from another module costs for the instance.
    pub(crate) instance_cost: u64,
}

/// A module file that has passed every check.
#[derive(Clone)]
pub struct LoadedModule {
    pub(crate) code: Code,
    pub(crate) schema: ModuleSchema,
    pub(crate) section: Vec<u8>,
    pub(crate) content_hash: [u8; 32],
    pub(crate) wasm_len: u64,
}

impl fmt::Debug for LoadedModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedModule").field("module", &self.schema.module).finish_non_exhaustive()
    }
}

impl LoadedModule {
    /// Checks a module file against `limits`, without installing it.
    ///
    /// # Errors
    ///
    /// With everything that is wrong with the file. Without the feature
    /// `validate` nothing can be checked, and every file is refused.
    pub fn new(wasm: &[u8], limits: &Limits) -> Result<Self, LoadError> {
        let engine = engine(limits, CompilationMode::Eager);
        let loaded = Self::load(&engine, wasm, limits, &Trusted::default())?;
        loaded.check_alone(limits)?;
        Ok(loaded)
    }

    /// Refuses what no installation takes, whatever else is installed: types that are
    /// too large, and subscriptions that run each other for ever.
    fn check_alone(&self, limits: &Limits) -> Result<(), LoadError> {
        use crate::state::Refused::{Cycle, Schema};
        let empty = CommittedState::new(0, limits.clone());
        match empty.plan_install(self.schema.clone(), &self.content_hash, self.wasm_len) {
            Err(InstallRefusal { why: why @ (Schema(_) | Cycle { .. }), .. }) => {
                Err(LoadError::one(&schema_section(), why.to_string(), MEND_IT))
            }
            _ => Ok(()),
        }
    }

    /// Its schema.
    pub fn schema(&self) -> &ModuleSchema {
        &self.schema
    }

    /// SHA-256 of the file.
    pub fn content_hash(&self) -> &[u8; 32] {
        &self.content_hash
    }

    /// Length of the file in bytes.
    pub fn wasm_len(&self) -> u64 {
        self.wasm_len
    }

    /// Bytes of memory that a guest begins with.
    pub fn memory_bytes(&self) -> u64 {
        self.code.memory_bytes
    }

    pub(crate) fn load(
        engine: &Engine,
        wasm: &[u8],
        limits: &Limits,
        trusted: &Trusted,
    ) -> Result<Self, LoadError> {
        if wasm.len() > limits.module_bytes {
            let what = format!("it has {} bytes; the limit is {}", wasm.len(), limits.module_bytes);
            return Err(LoadError::one(
                "file",
                what,
                "build it with `interstice build`, in release mode",
            ));
        }
        let content_hash = content_hash(wasm);
        let module = trusted.translate(engine, wasm, &content_hash);
        let module = module.map_err(|refused| refusal(wasm, refused))?;
        let outline = Outline::of(wasm).map_err(|error| {
            LoadError::one("file", format!("it is not valid: {error}"), BUILD_IT)
        })?;
        let mut findings = Vec::new();
        let loaded = Self::of(module, wasm, content_hash, &outline, &mut findings);
        #[cfg(feature = "validate")]
        super::rules::check(engine, wasm, &outline, limits, loaded.as_ref(), &mut findings);
        match loaded {
            Some(loaded) if findings.is_empty() => Ok(loaded),
            _ => Err(LoadError { findings }),
        }
    }

    /// What is kept of a valid module, if its schema is good.
    // Its stack is not needed while the engine reads the module.
    #[inline(never)]
    fn of(
        module: wasmi::Module,
        wasm: &[u8],
        content_hash: [u8; 32],
        outline: &Outline<'_>,
        findings: &mut Vec<Finding>,
    ) -> Option<Self> {
        let (schema, section) = schema_of(outline, findings)?;
        Some(Self {
            code: Code {
                module,
                memory_bytes: outline.memory_bytes(),
                instance_cost: outline.instance_cost(),
            },
            schema,
            section: section.to_vec(),
            content_hash,
            wasm_len: wasm.len() as u64,
        })
    }
}

/// What is said of a file that is not translated.
fn refusal(wasm: &[u8], refused: Refused) -> LoadError {
    match refused {
        Refused::Invalid(error) => invalid_wasm(wasm, &error),
        #[cfg(not(feature = "validate"))]
        Refused::Untrusted => LoadError::one(
            "file",
            "it is not one of those that this program trusts, and it validates none",
            "build the program with the file, or interstice-core with the feature `validate`",
        ),
    }
}

/// The content hash of a module file: its SHA-256.
pub fn content_hash(wasm: &[u8]) -> [u8; 32] {
    Sha256::digest(wasm).into()
}

/// The schema in a module file, without checking its code.
///
/// # Errors
///
/// When the file is no WebAssembly module, or has no valid schema.
pub fn inspect(wasm: &[u8]) -> Result<ModuleSchema, LoadError> {
    if !wasm.starts_with(MAGIC) {
        return Err(not_wasm());
    }
    let outline = Outline::of(wasm).map_err(|error| {
        let what = format!("it is not valid: {error}");
        LoadError::one("file", what, "give a module built with `interstice build`")
    })?;
    let mut findings = Vec::new();
    match schema_of(&outline, &mut findings) {
        Some((schema, _)) => Ok(schema),
        None => Err(LoadError { findings }),
    }
}

/// What is done about a schema that is refused.
const MEND_IT: &str = "mend the definition and build again";

fn schema_section() -> String {
    format!("section `{}`", host_calls::SCHEMA_SECTION)
}

fn schema_of<'a>(
    outline: &Outline<'a>,
    findings: &mut Vec<Finding>,
) -> Option<(ModuleSchema, &'a [u8])> {
    let at = schema_section();
    let mut finding = |what: String, fix: &str| {
        findings.push(Finding { at: at.clone(), what, fix: fix.to_owned() });
    };
    let section = match outline.schema_sections.as_slice() {
        [section] => *section,
        [] => {
            finding(
                "there is none: not an Interstice module".to_owned(),
                "define tables and reducers with interstice-sdk, and do not strip custom sections",
            );
            return None;
        }
        _ => {
            finding("there is more than one".to_owned(), "build the module with one linker run");
            return None;
        }
    };
    match ModuleSchema::decode(section) {
        Ok(schema) => Some((schema, section)),
        Err(error @ SchemaError::FormatVersion { .. }) => {
            finding(error.to_string(), "build the module with the matching interstice-sdk");
            None
        }
        Err(error) => {
            finding(error.to_string(), MEND_IT);
            None
        }
    }
}

/// What every WebAssembly module begins with.
const MAGIC: &[u8] = b"\0asm";

fn not_wasm() -> LoadError {
    let what = "it is not a WebAssembly module (it does not begin with `\\0asm`)";
    LoadError::one("file", what, "give the .wasm file that `interstice build` names")
}

fn invalid_wasm(wasm: &[u8], error: &wasmi::Error) -> LoadError {
    if !wasm.starts_with(MAGIC) {
        return not_wasm();
    }
    LoadError::one(
        "file",
        format!("it is not valid: {}", super::engine_text(error)),
        format!(
            "build it with `interstice build`; ABI {ABI_VERSION} has no SIMD, threads, tail calls, 64-bit or several memories"
        ),
    )
}

/// Bytes of value stack that the engine begins with, where the limit allows.
const STACK_HEIGHT_MIN: usize = 1000;

/// What calls pay for beside instructions: bytes that they copy. The engine's
/// work on the module is nobody's, so that it may be done at any time.
const FUEL_COSTS: CustomFuelCosts = CustomFuelCosts {
    bytes_copied_per_fuel: 64,
    fuel_per_bytes_translated: 0,
    fuel_per_bytes_validated: 0,
};

/// When the engine that calls run in translates a function: where memory and
/// start-up count, before its first call. Files are validated as a whole in
/// any case, and what cannot be translated is refused when it is installed.
pub(crate) const TRANSLATION: CompilationMode = if cfg!(feature = "compact-engine") {
    CompilationMode::LazyTranslation
} else {
    CompilationMode::Eager
};

/// An engine. Its settings are part of what makes fuel and traps the same on
/// every target.
pub(crate) fn engine(limits: &Limits, translation: CompilationMode) -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        .fuel_cost(FUEL_COSTS)
        .compilation_mode(translation)
        // Refused like everything else that is wrong with a file, with its place.
        .allow_start_fn(true)
        .ignore_custom_sections(true)
        // The engine begins with this much and panics where that is above the maximum.
        .set_min_stack_height(limits.guest_stack_bytes.min(STACK_HEIGHT_MIN))
        .set_max_recursion_depth(limits.guest_recursion)
        .set_max_stack_height(limits.guest_stack_bytes)
        .set_max_cached_stacks(1);
    #[cfg(feature = "validate")]
    config.wasm_custom_page_sizes(true).wasm_multi_memory(false).wasm_tail_call(false);
    Engine::new(&config)
}
