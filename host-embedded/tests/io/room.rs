//! A medium that is nearly full, and memory that is.

use interstice_core::{
    CallErrorKind, CommittedState, Inputs, Limits, Runtime, Timestamp, TxOffset,
    abi::{
        layout::Layout,
        schema::{Field, FunctionDef, ModuleSchema, Type},
        value::Value,
    },
    log::Log as _,
};
use interstice_embedded::io_log::{IoLog, IoLogError};

use crate::{HEADER, Medium, log_of, open, with_memory};

/// A module with a reducer that takes bytes, and how it is given them.
fn module() -> (Vec<u8>, impl Fn(usize) -> Vec<u8>) {
    let params = vec![Field { name: "bytes".into(), ty: Type::Bytes }];
    let take = FunctionDef { name: "take".into(), params, ..FunctionDef::default() };
    let schema =
        ModuleSchema { module: "m".into(), reducers: vec![take], ..ModuleSchema::default() };
    let layout = Layout::of_fields(&schema, &schema.reducers[0].params).unwrap();
    let section = schema.encode().unwrap();
    let section: String = section.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let wasm = wat::parse_str(format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "reducer.take") (param i32))
            (@custom "interstice.schema" "{section}"))"#
    ))
    .unwrap();
    let args = move |len| {
        let mut args = Vec::new();
        let value = Value::Struct(vec![Value::Bytes(vec![1; len])]);
        layout.encode(&value, &mut args).unwrap();
        args
    };
    (wasm, args)
}

#[test]
fn a_call_that_has_no_room_leaves_the_runtime_as_it_was() {
    let (wasm, args) = module();
    let mut medium = Medium::default();
    let log = IoLog::create(&mut medium, HEADER, Some(2_000)).unwrap();
    let state = CommittedState::new(HEADER.seed, Limits::default());
    let mut runtime = Runtime::new(state, log);
    runtime.install(&wasm, Inputs::at(Timestamp(0))).unwrap();
    let take = runtime.reducer("m", "take").unwrap();
    let mut call = |len| {
        let called = runtime.call(take, &args(len), Inputs::at(Timestamp(1)));
        called.map(drop).map_err(|error| error.kind)
    };
    let (mut large, mut small) = (0, 0);
    for _ in 0..3 {
        assert_eq!(call(1_900), Err(CallErrorKind::Log(IoLogError::Full)));
        call(10).unwrap();
    }
    // Until nothing goes in any more, which is no failure either.
    while call(500).is_ok() {
        large += 1;
    }
    while call(1).is_ok() {
        small += 1;
    }
    assert!(large > 0 && small > 0);
    assert_eq!(call(1), Err(CallErrorKind::Log(IoLogError::Full)));
    runtime.sync().unwrap();
    let hash = runtime.state().state_hash();
    let (state, log) = runtime.state_and_log();
    assert_eq!(log.prepare(state, 100), Err(IoLogError::Full));
    log.mark().unwrap();

    drop(runtime);
    let mut state = CommittedState::new(HEADER.seed, Limits::default());
    let opened = IoLog::open(medium, Some(2_000), &mut |at, commit| state.replay(at, commit));
    assert_eq!(opened.unwrap().1.commits, 1 + 3 + large + small);
    assert_eq!(state.state_hash(), hash);
}

#[test]
fn a_commit_has_room_if_it_was_asked_for() {
    let state = CommittedState::new(HEADER.seed, Limits::default());
    for len in [1, 120, 126, 127, 128, 300] {
        let mut log = IoLog::create(Medium::default(), HEADER, Some(250)).unwrap();
        let has_room = log.prepare(&state, len);
        assert_eq!(has_room, log.append(TxOffset(0), &vec![1; len]), "{len}");
        assert_eq!(has_room.is_ok(), len < 300);
    }
    let mut log = log_of(1, Some(1_000));
    assert_eq!(log.prepare(&state, usize::MAX), Err(IoLogError::Full));
    let mut failing = log.into_inner();
    failing.budget = Some(3);
    log = open(failing).unwrap().0;
    log.append(TxOffset(1), &[1]).unwrap_err();
    assert_eq!(log.prepare(&state, 1), Err(IoLogError::Failed));
    assert_eq!(log.mark(), Err(IoLogError::Failed));
}

#[test]
fn a_commit_that_there_is_no_memory_for_leaves_the_log_as_it_was() {
    let state = CommittedState::new(HEADER.seed, Limits::default());
    // So that the medium itself takes no memory.
    let mut log = log_of(1, Some(20_000));
    let commit = vec![1; 5_000];
    // Asserted where there is memory to say so.
    let (prepared, appended, small) = with_memory(4_096, || {
        let prepared = log.prepare(&state, commit.len());
        let appended = log.append(TxOffset(1), &commit);
        (prepared, appended, log.append(TxOffset(1), &commit[..500]))
    });
    assert_eq!((prepared, appended), (Err(IoLogError::Memory), Err(IoLogError::Memory)));
    small.unwrap();
    // Once it was asked for, it is there.
    log.prepare(&state, commit.len()).unwrap();
    with_memory(64, || log.append(TxOffset(2), &commit)).unwrap();
    log.sync().unwrap();
    let medium = log.into_inner();
    assert_eq!(open(medium.clone()).unwrap().2.len(), 3);
    // Where it is not there to read it, nothing is taken for torn.
    let again = medium.clone();
    let opened =
        with_memory(4_096, || IoLog::open(again, None, &mut |_, _| Ok::<_, IoLogError>(())).err());
    assert_eq!(opened, Some(IoLogError::Memory));
}
