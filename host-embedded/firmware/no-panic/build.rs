//! How the images are linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let calls_stay_to_be_seen = "--emit-relocs";
    let nobody_defines_what_is_unknown = "--unresolved-symbols=ignore-all";
    for arg in ["--entry=entry", calls_stay_to_be_seen, nobody_defines_what_is_unknown] {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
}
