//! What is allocated: nothing where rows are checked, packed and turned into
//! keys, and nothing by a length that untrusted bytes claim.

use std::{
    alloc::{GlobalAlloc, Layout as Memory, System},
    cell::Cell,
};

use interstice_abi::{
    bytes::Reader,
    filter::{Comparison, Filter, Scan, ScanWriter},
    key::{Key, KeyLayout},
    layout::Layout,
    packed::{changed_columns, merge_columns, pack, pack_columns, unpack},
    schema::{Field, ModuleSchema, TableDef, TypeDef, TypeKind},
    value::Value,
};

/// Counts what the current thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    // While a thread ends, its counters are gone.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
    let _ = BYTES.try_with(|counted| counted.set(counted.get() + bytes));
}

// SAFETY: every call is passed on to the system's allocator as it came; the
// counters are thread-local, are initialized by a constant and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        count(memory.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Memory) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, memory) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, memory: Memory, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, memory, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and bytes that `work` asks for.
fn allocated(work: impl FnOnce()) -> (usize, usize) {
    let before = (ALLOCATIONS.get(), BYTES.get());
    work();
    (ALLOCATIONS.get() - before.0, BYTES.get() - before.1)
}

fn table(types: &[&str]) -> (Layout, KeyLayout) {
    let field =
        |(index, ty): (usize, &&str)| Field { name: format!("f{index}"), ty: ty.parse().unwrap() };
    let fields: Vec<Field> = types.iter().enumerate().map(field).collect();
    let schema = ModuleSchema {
        module: "m".into(),
        types: vec![TypeDef { name: "R".into(), kind: TypeKind::Struct(fields.clone()) }],
        tables: vec![TableDef {
            name: "t".into(),
            version: 1,
            row: "R".into(),
            primary_key: vec![0],
            auto_increment: None,
        }],
        ..ModuleSchema::default()
    };
    let layout = Layout::of_fields(&schema, &fields).unwrap();
    let key = KeyLayout::of(&schema, &schema.tables[0]).unwrap();
    (layout, key)
}

#[test]
fn the_hot_path_allocates_nothing() {
    let (layout, key_layout) = table(&["u64", "string", "f64", "list<u32>", "option<bytes>"]);
    let row = |name: &str, numbers: u32| {
        let value = Value::Struct(vec![
            Value::Unsigned(7),
            Value::String(name.into()),
            Value::F64(0.5),
            Value::List((0..numbers).map(|number| Value::Unsigned(number.into())).collect()),
            Value::Option(Some(Box::new(Value::Bytes(vec![1, 2, 3])))),
        ]);
        let mut row = Vec::new();
        layout.encode(&value, &mut row).unwrap();
        row
    };
    let (mut old, new) = (row("Ada", 3), row("Grace", 5));
    let filter = Filter::compare(0, Comparison::Eq, &7u64.to_le_bytes())
        .and(Filter::contains(1, b"a"))
        .and(Filter::is_some(4));
    let scan = Scan::check(&ScanWriter::new().filter(filter).finish(), &layout, &key_layout);
    let scan = scan.unwrap();
    let (mut packed, mut unpacked) = (Vec::with_capacity(256), Vec::with_capacity(256));
    let mut key = Key::new();

    let (allocations, _) = allocated(|| {
        layout.check(&mut old).unwrap();
        pack(&layout, &old, &mut packed).unwrap();
        unpack(&layout, &mut Reader::new(&packed), &mut unpacked, 256).unwrap();
        assert!(unpacked == old);

        packed.clear();
        unpacked.clear();
        let mask = changed_columns(&layout, &old, &new);
        pack_columns(&layout, &new, mask, &mut packed).unwrap();
        let mut reader = Reader::new(&packed);
        merge_columns(&layout, &old, mask, &mut reader, &mut unpacked, 256).unwrap();
        assert!(unpacked == new);

        key_layout.from_row(&old, &mut key);
        assert!(scan.matches(&old));
    });
    assert_eq!(allocations, 0);
}

/// The most that refusing a few bytes may allocate: for the error.
const SMALL: usize = 1024;

#[test]
fn a_claimed_length_in_a_value_allocates_nothing() {
    let (layout, _) = table(&["u64", "list<u128>"]);
    let mut claim = [0xff; 16];
    claim[8..12].copy_from_slice(&16u32.to_le_bytes());
    for count in [u32::MAX, 1 << 30, 1 << 16, 1] {
        claim[12..].copy_from_slice(&count.to_le_bytes());
        let (_, bytes) = allocated(|| {
            assert!(layout.check(&mut claim).is_err());
            assert!(layout.decode(&claim).is_err());
        });
        assert!(bytes < SMALL, "{bytes} bytes for a claim of {count} elements");
    }
}

#[test]
fn a_claimed_length_in_a_packed_value_allocates_nothing() {
    for ty in ["list<u128>", "string", "bytes", "list<u8>", "list<string>", "list<option<u64>>"] {
        let (layout, _) = table(&["u8", ty]);
        for claim in [&[1, 0xff, 0xff, 0xff, 0xff, 0x0f][..], &[1, 0x80, 0x80, 0x40], &[1, 9]] {
            let (_, bytes) = allocated(|| {
                let mut reader = Reader::new(claim);
                assert!(unpack(&layout, &mut reader, &mut Vec::new(), usize::MAX).is_err());
            });
            assert!(bytes < SMALL, "{bytes} bytes for {claim:?} of {ty}");
        }
    }
}

#[test]
fn a_claimed_length_in_a_schema_or_scan_allocates_nothing() {
    let (layout, key) = table(&["u8", "string"]);
    let (_, bytes) = allocated(|| {
        assert!(ModuleSchema::decode(&[0xff; 8]).is_err());
        // A list of 64 fields, and nothing of it.
        let fragment = [7, 0, 0, 0, 1, 1, b'm', 1, 1, b'f', 64];
        assert!(ModuleSchema::decode(&fragment).is_err());
        for scan in [&[2, 1, 0xff, 0xff, 0xff, 0xff][..], &[0, 3, 1, 0, 0xff, 0xff, 0xff, 0xff]] {
            assert!(Scan::check(scan, &layout, &key).is_err());
        }
    });
    assert!(bytes < SMALL, "{bytes} bytes");
}

#[test]
fn what_is_unpacked_stays_below_the_limit_while_it_grows() {
    // Each element is one byte packed and 18 bytes in its slot.
    let (layout, _) = table(&["u8", "list<option<option<u128>>>"]);
    let elements = 10_000u64;
    let mut packed = vec![0];
    interstice_abi::bytes::write_varint_u64(&mut packed, elements);
    packed.resize(packed.len() + elements as usize, 0);
    let limit = 4096;
    let (_, bytes) = allocated(|| {
        let mut reader = Reader::new(&packed);
        assert!(unpack(&layout, &mut reader, &mut Vec::new(), limit).is_err());
    });
    assert!(bytes <= limit, "{bytes} bytes");
}
