//! The memory of the board, for the linker script of cortex-m-rt.

use std::{env, fs, path::PathBuf};

/// RAM that the image may use, in KiB. The board has 4,096.
const RAM_KIB: &str = "INTERSTICE_RAM_KIB";

fn main() {
    println!("cargo::rerun-if-env-changed={RAM_KIB}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=memory.x");
    let kib = env::var(RAM_KIB).unwrap_or_else(|_| "4096".to_owned());
    let script = include_str!("memory.x").replace("${RAM_KIB}", &kib);
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("memory.x"), script).expect("cargo made the directory");
    println!("cargo::rustc-link-search={}", out.display());
    for arg in ["--nmagic", "--icf=all", "-Tlink.x", "-Tdefmt.x"] {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
}
