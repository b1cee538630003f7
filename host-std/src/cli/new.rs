use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use interstice_core::abi::schema::is_identifier;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    output, style,
};

/// Start a new module project.
///
/// The project has one table, one reducer, one query and a test of them; it
/// builds, tests and installs as it is. Nothing that exists is overwritten.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to make it; the last part is the module's name.
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// The SDK that it is built with: the folder `sdk` of a checkout of Interstice;
    /// without it that of the checkout which this program was built from.
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

const LIB_RS: &str = include_str!("new/lib.rs.txt");
const README: &str = include_str!("new/README.md.txt");
const GITIGNORE: &str = "/target\n/interstice-data\n";

impl Args {
    pub(super) fn run(self) -> Outcome {
        let name = self.name()?;
        if fs::symlink_metadata(&self.path).is_ok() {
            return Err(Failure::usage(format!("{} exists already", self.path.display()))
                .with_help("choose another name; nothing was changed"));
        }
        let sdk = self.sdk()?;
        let module = name.replace('-', "_");
        let fill = |template: &str| template.replace("{name}", &name).replace("{module}", &module);
        let source = self.path.join("src");
        fs::create_dir_all(&source).map_err(Failure::io("make", &source))?;
        for (file, content) in [
            ("Cargo.toml", manifest(&name, &sdk)),
            (".gitignore", GITIGNORE.to_owned()),
            ("README.md", fill(README)),
            ("src/lib.rs", fill(LIB_RS)),
        ] {
            write_new(&self.path.join(file), &content)?;
        }
        let mut out = output::stdout();
        writeln!(out, "{}", self.path.display())?;
        out.flush()?;
        style::say(format!("made the module project {name}; its code is in src/lib.rs"));
        let folder = style::shell_path(&self.path);
        style::next(format!("cd {folder} && cargo test && interstice build"));
        Ok(Exit::Good)
    }

    /// The folder of the SDK. It is not published: what has its name at a registry is
    /// another program's.
    fn sdk(&self) -> Result<PathBuf, Failure> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"));
        let path = self.sdk.clone().unwrap_or_else(|| source.join("sdk"));
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap_or_default();
        if !manifest.contains("name = \"interstice-sdk\"") {
            let path = path.display();
            return Err(Failure::incomplete(format!("the SDK is not at {path}"))
                .with_help("give the folder `sdk` of a checkout of Interstice: --sdk FOLDER"));
        }
        path.canonicalize().map_err(Failure::io("read", &path))
    }

    /// The package's name, which is also the module's (with `_` for `-`).
    fn name(&self) -> Result<String, Failure> {
        let Some(name) = self.path.file_name() else {
            let path = self.path.display();
            return Err(Failure::usage(format!("`{path}` is the name of no module"))
                .with_help("give the name of a folder to make, such as my-module"));
        };
        let name = &name.to_string_lossy();
        let name: &str = name;
        if RESERVED.contains(&name) {
            return Err(Failure::usage(format!("`{name}` cannot name a module")).with_help(
                "it is a word of Rust, a name that cargo keeps for itself, or the SDK's; choose \
                 another, such as my-module",
            ));
        }
        let usable = is_identifier(&name.replace('-', "_"))
            && name.starts_with(|first: char| first.is_ascii_lowercase());
        match usable {
            true => Ok(name.to_owned()),
            false => Err(Failure::usage(format!("`{name}` cannot name a module")).with_help(
                "use a lowercase letter, then letters, digits, `-` and `_`: such as my-module",
            )),
        }
    }
}

/// Names that cargo refuses, or that would stand for something else in code.
const RESERVED: [&str; 17] = [
    "alloc",
    "core",
    "std",
    "test",
    "proc_macro",
    "self",
    "super",
    "crate",
    "fn",
    "mod",
    "use",
    "type",
    "build",
    "deps",
    "examples",
    "interstice-sdk",
    "interstice_sdk",
];

/// The project's `Cargo.toml`.
fn manifest(name: &str, sdk: &Path) -> String {
    let sdk = format!("{{ path = {:?} }}", sdk.display().to_string());
    format!(
        "[package]\n\
         name = \"{name}\"\n\
         version = \"0.1.0\"\n\
         edition = \"2024\"\n\
         publish = false\n\
         \n\
         [dependencies]\n\
         interstice-sdk = {sdk}\n\
         \n\
         # A workspace of its own, wherever the project lies.\n\
         [workspace]\n"
    )
}

fn write_new(path: &Path, content: &str) -> Result<(), Failure> {
    let file = fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(content.as_bytes()));
    written.map_err(Failure::io("write", path))
}
