//! What does not compile, and what it says; and what does.

use std::{fs, path::Path, sync::Once};

#[test]
fn wrong_uses_are_explained() {
    copy_schemas();
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

#[test]
fn right_uses_compile() {
    copy_schemas();
    trybuild::TestCases::new().pass("tests/pass/*.rs");
}

/// `import!` looks for files from its package's folder, which is one that
/// `trybuild` makes: the schema files are put there. It is in the target
/// directory of the workspace; measuring coverage builds one level further in.
fn copy_schemas() {
    static COPIED: Once = Once::new();
    COPIED.call_once(copy_schemas_once);
}

fn copy_schemas_once() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let above = Path::new(env!("CARGO_TARGET_TMPDIR")).ancestors().skip(1).take(2);
    for target in above.filter(|dir| dir.join("CACHEDIR.TAG").exists()) {
        copy_to(here, &target.join("tests/trybuild").join(env!("CARGO_PKG_NAME")));
    }
}

fn copy_to(here: &Path, package: &Path) {
    fs::create_dir_all(package.join("schemas")).unwrap();
    for file in [
        "examples/caller/schemas/hello.json",
        "tests/schemas/invalid.json",
        "tests/schemas/not_a_schema.json",
        "tests/schemas/zoo.json",
    ] {
        let file = here.join(file);
        fs::copy(&file, package.join("schemas").join(file.file_name().unwrap())).unwrap();
    }
}
