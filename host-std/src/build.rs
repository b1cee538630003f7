//! Building a module project into a `.wasm` file, with cargo.
//!
//! Everything that makes a module small, reproducible and loadable is given to
//! cargo from outside, so that a module's `Cargo.toml` holds nothing special.

use std::{
    env, fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;
use thiserror::Error;

/// The rustup target of modules.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// What cargo is told about modules, as settings of its release profile: small
/// code, no unwinding tables, one unit so that the linker sees everything.
pub const PROFILE: [(&str, &str); 8] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
    // A sum that wraps in a release build and panics in a test would be two
    // different reducers.
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
];

/// What the compiler and linker are told about modules.
///
/// Pages of one byte and a small stack keep a guest's memory at a few KiB; the
/// stack pointer is exported because the host resets it before every call;
/// compressed relocations take the padding out of every call and address, a
/// tenth of a module. A heap that is there from the beginning spares most calls
/// from growing the memory, after which the host would instantiate anew.
pub const RUSTFLAGS: [&str; 5] = [
    "-Clink-arg=--page-size=1",
    "-Clink-arg=-zstack-size=4096",
    "-Clink-arg=--export=__stack_pointer",
    "-Clink-arg=--compress-relocations",
    "-Clink-arg=--initial-heap=4096",
];

/// A module that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltModule {
    /// The package's name.
    pub package: String,
    /// Its `.wasm` file.
    pub path: PathBuf,
}

/// Why a module could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no project at the path.
    #[error("{} is not a module project: it has no Cargo.toml", path.display())]
    NoProject {
        /// The path.
        path: PathBuf,
    },
    /// A program could not be started.
    #[error("could not run `{program}`: {source}")]
    Program {
        /// `cargo` or `rustc`.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// cargo could not make sense of the project.
    #[error("cargo cannot read the project {}:\n{message}", path.display())]
    Metadata {
        /// The project.
        path: PathBuf,
        /// What cargo said.
        message: String,
    },
    /// A workspace without a package of its own.
    #[error("{} is a workspace, not a module; the modules in it are {}", path.display(), members.join(", "))]
    Workspace {
        /// The project.
        path: PathBuf,
        /// Its members, as folders.
        members: Vec<String>,
    },
    /// The package has no library.
    #[error("the package `{package}` has no library; a module's code is in src/lib.rs")]
    NoLibrary {
        /// The package.
        package: String,
    },
    /// The compiler has no standard library for WebAssembly, and it could not be added.
    #[error("the Rust target {TARGET} is not installed, and it could not be added: {why}")]
    NoTarget {
        /// Why it could not be added.
        why: String,
    },
    /// cargo has shown the errors itself.
    #[error("the module does not compile")]
    Compile,
}

/// Builds the module project in the folder `project`.
///
/// What cargo and rustup have to say goes to standard error, as it comes.
/// `say` is told about steps that take time or change the system.
///
/// # Errors
///
/// See [`BuildError`].
pub fn build(project: &Path, mut say: impl FnMut(&str)) -> Result<BuiltModule, BuildError> {
    let manifest = project.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(BuildError::NoProject { path: project.to_owned() });
    }
    let package = read_package(project, &manifest)?;
    ensure_target(project, &mut say)?;
    compile(project, &manifest, &package)
}

/// What `cargo metadata` says, as far as it matters.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    #[serde(skip)]
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

fn cargo(project: &Path) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    // In the project's folder, where its `rust-toolchain.toml` counts.
    command.current_dir(project);
    command
}

fn cannot_run(program: &str) -> impl FnOnce(io::Error) -> BuildError {
    move |source| BuildError::Program { program: program.to_owned(), source }
}

fn read_package(project: &Path, manifest: &Path) -> Result<Package, BuildError> {
    let manifest = fs::canonicalize(manifest).unwrap_or_else(|_| manifest.to_owned());
    let output = cargo(project)
        .args(["metadata", "--format-version=1", "--no-deps", "--manifest-path"])
        .arg(&manifest)
        .output()
        .map_err(cannot_run("cargo"))?;
    let failed = |message: String| BuildError::Metadata { path: project.to_owned(), message };
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()));
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    let members = metadata.packages.iter().filter_map(|package| package.manifest_path.parent());
    let members = members.map(|member| member.display().to_string()).collect();
    let Some(mut package) = metadata.packages.into_iter().find(|package| {
        fs::canonicalize(&package.manifest_path).is_ok_and(|path| path == manifest)
    }) else {
        return Err(BuildError::Workspace { path: project.to_owned(), members });
    };
    let is_library = |kind: &String| ["lib", "rlib", "cdylib"].contains(&kind.as_str());
    if !package.targets.iter().any(|target| target.kind.iter().any(is_library)) {
        return Err(BuildError::NoLibrary { package: package.name });
    }
    package.target_directory = metadata.target_directory;
    Ok(package)
}

/// Adds the WebAssembly target when the project's compiler does not have it.
fn ensure_target(project: &Path, say: &mut impl FnMut(&str)) -> Result<(), BuildError> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(project)
        .output()
        .map_err(cannot_run("rustc"))?;
    let libdir = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && libdir.is_dir() {
        return Ok(());
    }
    say(&format!(
        "the Rust target {TARGET} is not installed; adding it: rustup target add {TARGET}"
    ));
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(project)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status();
    let why = match added {
        Ok(status) if status.success() => return Ok(()),
        Ok(_) => "`rustup target add` failed".to_owned(),
        Err(error) => format!("`rustup` cannot be run ({error})"),
    };
    Err(BuildError::NoTarget { why })
}

/// A line of cargo's `--message-format=json`, as far as it matters.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

fn compile(project: &Path, manifest: &Path, package: &Package) -> Result<BuiltModule, BuildError> {
    let manifest = fs::canonicalize(manifest).unwrap_or_else(|_| manifest.to_owned());
    let mut command = cargo(project);
    command
        .args(["rustc", "--lib", "--release", "--crate-type=cdylib", "--target", TARGET])
        .args(["--message-format=json-render-diagnostics", "--manifest-path"])
        .arg(&manifest)
        // A directory of its own: another cargo may be busy in the project's.
        .arg("--target-dir")
        .arg(package.target_directory.join("interstice"))
        .envs(PROFILE)
        // The strongest of cargo's ways to give flags, so that flags meant for
        // the host (coverage, `-C target-cpu`) do not end up in a module, nor
        // those of a wrapper.
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags())
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    // Only for the module itself: dependencies with flags of their own for
    // every module would be built anew for each.
    if let Some(project) = package.manifest_path.parent() {
        command.arg("--").args(remap(project, "."));
    }
    let mut child = command.spawn().map_err(cannot_run("cargo"))?;
    let mut wasm = None;
    let lines = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
    for line in lines.into_iter().flatten().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
        if message.reason == "compiler-artifact" && message.manifest_path == manifest {
            let is_wasm = |path: &PathBuf| path.extension().is_some_and(|e| e == "wasm");
            wasm = message.filenames.into_iter().find(is_wasm).or(wasm);
        }
    }
    let status = child.wait().map_err(cannot_run("cargo"))?;
    match wasm {
        Some(path) if status.success() => Ok(BuiltModule { package: package.name.clone(), path }),
        _ => Err(BuildError::Compile),
    }
}

/// The flags, in the form of `CARGO_ENCODED_RUSTFLAGS`.
fn rustflags() -> String {
    let mut flags: Vec<String> = RUSTFLAGS.map(str::to_owned).to_vec();
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    flags.extend(cargo_home.and_then(|home| remap(&home, "cargo")));
    flags.join("\x1f")
}

/// The flag that replaces a path in a module.
///
/// Panic messages name source files; where those lie on this machine is taken
/// out, so that the same source gives the same module everywhere.
fn remap(path: &Path, name: &str) -> Option<String> {
    path.to_str().map(|path| format!("--remap-path-prefix={path}={name}"))
}
