//! The modules of the workload: three that use each other in every way there
//! is.
//!
//! ```text
//!  watch ---- waits for ----> work ---- calls ----> store
//!    \                                               ^
//!     +----------------- waits for -----------------+
//! ```
//!
//! `work` has a chain of its own: a row of `job1` is a script that runs when it
//! is inserted, and may insert into `job2`; that one into `job3`, that one into
//! `job4`.

use std::sync::LazyLock;

use interstice_core::{
    Limits, LoadedModule,
    abi::schema::{AccessSet, ModuleSchema},
};

use crate::{
    guest::{
        Function, Guest, on_delete, on_insert, on_update,
        script::{self, MEMORY},
    },
    model::{Behaviour, ModelModule},
};

/// A module of the workload, for the runtime and for the model.
#[derive(Clone, Debug)]
pub struct WorkloadModule {
    /// Its file.
    pub wasm: Vec<u8>,
    /// What the model knows of it.
    pub model: ModelModule,
}

/// All modules, in the order in which they are installed.
pub fn modules() -> &'static [WorkloadModule; 3] {
    static MODULES: LazyLock<[WorkloadModule; 3]> = LazyLock::new(|| {
        [prepare(&store(), &STORE), prepare(&work(false), &WORK), prepare(&watch(), &WATCH)]
    });
    &MODULES
}

/// A later version of `work`: one more table and one more reducer, which
/// changes the numbers of the others.
pub fn work_upgrade() -> &'static WorkloadModule {
    static UPGRADE: LazyLock<WorkloadModule> = LazyLock::new(|| prepare(&work(true), &WORK));
    &UPGRADE
}

fn prepare(guest: &Guest, behaviours: &[(&str, Behaviour)]) -> WorkloadModule {
    let wasm = guest.wasm();
    let loaded = LoadedModule::new(&wasm, &Limits::default()).expect("a good module");
    let schema: ModuleSchema = loaded.schema().clone();
    let model = ModelModule::new(schema, *loaded.content_hash(), MEMORY, behaviours);
    WorkloadModule { wasm, model }
}

/// The tables that a script may touch, in every module that runs scripts.
const DATA: [&str; 3] = ["item", "note", "tag"];

const STORE: [(&str, Behaviour); 4] = [
    ("ask", Behaviour::RunArgument),
    ("on_item_gone", Behaviour::Audit(1)),
    ("on_note_changed", Behaviour::Audit(2)),
    ("run", Behaviour::RunArgument),
];

const WORK: [(&str, Behaviour); 10] = [
    ("ask", Behaviour::RunArgument),
    ("before_all", Behaviour::RunArgument),
    ("later", Behaviour::RunArgument),
    ("narrow", Behaviour::RunArgument),
    ("on_job1", Behaviour::RunRow),
    ("on_job2", Behaviour::RunRow),
    ("on_job3", Behaviour::RunRow),
    ("on_job4", Behaviour::RunRow),
    ("on_tag_changed", Behaviour::Audit(3)),
    ("run", Behaviour::RunArgument),
];

const WATCH: [(&str, Behaviour); 4] = [
    ("on_store_item", Behaviour::Audit(4)),
    ("on_work_item", Behaviour::Audit(5)),
    ("on_work_item_changed", Behaviour::Audit(6)),
    ("on_work_note_gone", Behaviour::Audit(7)),
];

/// The types and tables that all three have.
fn with_data(guest: Guest) -> Guest {
    guest
        .memory(MEMORY as usize)
        .enumeration("Level", &[("Low", &[]), ("Middle", &[]), ("High", &[])])
        .enumeration(
            "Shape",
            &[
                ("Dot", &[]),
                ("Line", &[("length", "u32"), ("label", "string")]),
                ("Blob", &[("data", "bytes")]),
            ],
        )
        .table("item", ITEM, &[0])
        .numbered("note", NOTE)
        .table("tag", TAG, &[0, 2])
        .numbered("audit", &[("id", "u64"), ("kind", "u8"), ("args", "bytes")])
}

/// Fixed, with columns of which not every byte pattern is canonical.
const ITEM: &[(&str, &str)] = &[
    ("id", "u64"),
    ("count", "i32"),
    ("ratio", "f64"),
    ("small", "f32"),
    ("flag", "bool"),
    ("level", "Level"),
];

/// Numbered, with everything that has a tail.
const NOTE: &[(&str, &str)] = &[
    ("id", "u32"),
    ("text", "string"),
    ("mood", "option<i16>"),
    ("words", "list<string>"),
    ("shape", "Shape"),
    ("at", "timestamp"),
];

/// A composite key with a gap, of a string and a signed number.
const TAG: &[(&str, &str)] =
    &[("name", "string"), ("big", "u128"), ("at", "i64"), ("raw", "bytes"), ("low", "i8")];

fn scripted(name: &str) -> Function {
    Function::new(name).param("script", "bytes").returns("bytes").error("bytes")
}

fn store() -> Guest {
    let audit = |name: &str| Function::new(name).may(AccessSet::INSERT, "audit");
    with_data(Guest::new("store"))
        .code(&script::interpreter())
        .reducer(scripted("run").writes(&DATA), &script::run_argument())
        .reducer(
            audit("on_item_gone").param("old", "Item").on(on_delete("item")),
            &script::audit(1),
        )
        .reducer(
            audit("on_note_changed")
                .param("old", "Note")
                .param("new", "Note")
                .on(on_update("note")),
            &script::audit(2),
        )
        .query(scripted("ask").reads(&DATA), &script::run_argument())
}

fn work(upgraded: bool) -> Guest {
    let store = store();
    let with_calls =
        |function: Function| function.calls(&store, "run").calls(&store, "ask").writes(&DATA);
    let job = |name: &str, row: &str, table: &str| {
        let function = Function::new(name).param("row", row).error("bytes").on(on_insert(table));
        with_calls(function)
    };
    let columns: &[(&str, &str)] = &[("id", "u64"), ("script", "bytes")];
    let audit = Function::new("on_tag_changed").param("old", "Tag").param("new", "Tag");
    let mut guest = with_data(Guest::new("work"))
        .numbered("job1", columns)
        .numbered("job2", columns)
        .numbered("job3", columns)
        .numbered("job4", columns)
        .code(&script::interpreter())
        .reducer(
            with_calls(scripted("run")).writes(&["job1", "job2", "job3", "job4"]),
            &script::run_argument(),
        )
        .reducer(with_calls(scripted("later")).writes(&["job1"]), &script::run_argument())
        .reducer(
            scripted("narrow").may(AccessSet::INSERT, "note").reads(&["item"]),
            &script::run_argument(),
        )
        .reducer(job("on_job1", "Job1", "job1").writes(&["job2"]), &script::run_row())
        .reducer(job("on_job2", "Job2", "job2").writes(&["job3"]), &script::run_row())
        .reducer(job("on_job3", "Job3", "job3").writes(&["job4"]), &script::run_row())
        .reducer(job("on_job4", "Job4", "job4"), &script::run_row())
        .reducer(audit.may(AccessSet::INSERT, "audit").on(on_update("tag")), &script::audit(3))
        .query(scripted("ask").reads(&DATA).calls(&store, "ask"), &script::run_argument());
    if upgraded {
        guest = guest
            .numbered("after_all", &[("id", "u64")])
            .reducer(scripted("before_all").writes(&["after_all"]), &script::run_argument());
    }
    guest
}

fn watch() -> Guest {
    let audit = |name: &str, kind: u8, function: fn(Function) -> Function| {
        (function(Function::new(name)).may(AccessSet::INSERT, "audit"), script::audit(kind))
    };
    let reducers = [
        audit("on_store_item", 4, |f| f.param("row", "Item").on(on_insert("store.item"))),
        audit("on_work_item", 5, |f| f.param("row", "Item").on(on_insert("work.item"))),
        audit("on_work_item_changed", 6, |f| {
            f.param("old", "Item").param("new", "Item").on(on_update("work.item"))
        }),
        audit("on_work_note_gone", 7, |f| f.param("old", "Note").on(on_delete("work.note"))),
    ];
    let guest = with_data(Guest::new("watch")).code(&script::interpreter());
    reducers.into_iter().fold(guest, |guest, (function, body)| guest.reducer(function, &body))
}
