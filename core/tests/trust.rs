//! A library that does not validate runs the modules that it is told to trust,
//! and no other: `cargo test -p interstice-core --no-default-features --test trust`.
#![cfg(not(feature = "validate"))]

use interstice_core::{
    AttachError, CommittedState, Inputs, InstallError, Limits, LoadedModule, Runtime, Timestamp,
    abi::schema::{FunctionDef, ModuleSchema},
    content_hash,
    log::{MemoryLog, frame::LogHeader},
};

const HEADER: LogHeader = LogHeader { log_id: [7; 16], seed: 7 };

/// A module with a reducer `ping`, whose memory has a page of `page` bytes.
fn module(page: u32) -> Vec<u8> {
    let ping = FunctionDef { name: "ping".into(), ..FunctionDef::default() };
    let schema =
        ModuleSchema { module: "demo".into(), reducers: vec![ping], ..ModuleSchema::default() };
    let section: String =
        schema.encode().unwrap().iter().map(|byte| format!("\\{byte:02x}")).collect();
    wat::parse_str(format!(
        r#"(module
            (memory (export "memory") {page} (pagesize 1))
            (func (export "reducer.ping") (param i32))
            (@custom "interstice.schema" "{section}"))"#
    ))
    .unwrap()
}

fn runtime() -> Runtime<MemoryLog> {
    Runtime::new(CommittedState::new(HEADER.seed, Limits::default()), MemoryLog::new(HEADER))
}

#[test]
fn a_module_that_is_trusted_runs() {
    let wasm = module(64);
    let mut runtime = runtime();
    // SAFETY: the module is valid.
    unsafe { runtime.trust(content_hash(&wasm)) };
    runtime.install(&wasm, Inputs::at(Timestamp(0))).unwrap();
    let ping = runtime.reducer("demo", "ping").unwrap();
    runtime.call(ping, &[], Inputs::at(Timestamp(1))).unwrap();
    assert_eq!(runtime.state().next_offset().0, 2);
}

#[test]
fn any_other_is_refused() {
    let wasm = module(64);
    let mut runtime = runtime();
    // SAFETY: the module is valid.
    unsafe { runtime.trust(content_hash(&wasm)) };
    runtime.install(&wasm, Inputs::at(Timestamp(0))).unwrap();
    for bit in [0, 8 * 9, 8 * (wasm.len() - 1)] {
        let mut changed = wasm.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let refused = runtime.attach(&changed).unwrap_err();
        let AttachError::Load(refused) = refused else { panic!("{refused}") };
        assert!(refused.to_string().contains("trusts"), "{refused}");
    }
    let other = module(65);
    let refused = runtime.install(&other, Inputs::at(Timestamp(0))).unwrap_err();
    assert!(matches!(refused, InstallError::Load(_)), "{refused}");
    assert!(LoadedModule::new(&wasm, &Limits::default()).is_err());
    assert_eq!(runtime.state().next_offset().0, 1);
}
