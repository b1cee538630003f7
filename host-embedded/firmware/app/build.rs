//! Finds the module that the firmware carries, and validates it: the firmware
//! itself is built without what that takes.

use std::{env, error::Error, fs, path::Path};

use interstice_core::LoadedModule;

#[path = "src/limits.rs"]
mod limits;

const MODULE: &str = "INTERSTICE_WEATHER";

fn main() {
    println!("cargo::rerun-if-env-changed={MODULE}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let built = "target/interstice/wasm32-unknown-unknown/release/weather.wasm";
    let module = env::var_os(MODULE).map_or_else(|| root.join(built), Into::into);
    println!("cargo::rerun-if-changed={}", module.display());
    println!("cargo::rerun-if-changed=src/limits.rs");
    if let Err(why) = validate(&module) {
        println!("cargo::error={}: {why}", module.display());
    }
}

/// Copies the module and its content hash to where the firmware takes them from,
/// if it is valid.
fn validate(module: &Path) -> Result<(), Box<dyn Error>> {
    let wasm = fs::read(module).map_err(|error| {
        format!(
            "{error}. Build the module first, in the project's root: cargo run -- build \
             sdk/examples/weather. Or name its file in {MODULE}"
        )
    })?;
    let loaded = LoadedModule::new(&wasm, &limits::limits())?;
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("weather.wasm"), &wasm)?;
    fs::write(Path::new(&out).join("weather.hash"), loaded.content_hash())?;
    Ok(())
}
