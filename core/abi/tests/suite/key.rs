use std::cmp::Ordering;

use interstice_abi::{
    key::{Key, KeyLayout},
    layout::Layout,
    schema::Type,
    value::Value,
};
use proptest::{collection::vec, prelude::*};

use crate::arbitrary::{PLAIN, Shape, encode, table, value};

pub(crate) fn key_shape() -> impl Strategy<Value = Shape> {
    let plain = PLAIN.into_iter().filter(|ty| !matches!(ty, Type::F32 | Type::F64));
    prop_oneof![
        4 => proptest::sample::select(plain.map(Shape::Plain).collect::<Vec<_>>()),
        1 => (1..5usize).prop_map(|variants| Shape::Enum(vec![vec![]; variants])),
    ]
}

/// The order of two values of a key column, by their meaning.
pub(crate) fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Unsigned(a), Value::Unsigned(b)) => a.cmp(b),
        (Value::Signed(a), Value::Signed(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Enum { variant: a, .. }, Value::Enum { variant: b, .. }) => a.cmp(b),
        _ => unreachable!("not of one key type"),
    }
}

pub(crate) fn order_all(a: &[Value], b: &[Value]) -> Ordering {
    a.iter().zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

pub(crate) fn key_of(layout: &KeyLayout, columns: &[Value]) -> Key {
    let row = encode(layout.row(), &Value::Struct(columns.to_vec()));
    let mut key = Key::from_slice(b"left over");
    layout.from_key_row(&row, &mut key);
    key
}

/// A key of some columns, and two rows that may agree in the first of them.
fn two_keys() -> impl Strategy<Value = (Vec<Shape>, Vec<Value>, Vec<Value>)> {
    vec(key_shape(), 1..4).prop_flat_map(|shapes| {
        let values = || shapes.iter().map(value).collect::<Vec<_>>();
        let columns = shapes.len();
        (Just(shapes.clone()), values(), values(), 0..=columns).prop_map(
            |(shapes, a, mut b, equal)| {
                b[..equal].clone_from_slice(&a[..equal]);
                (shapes, a, b)
            },
        )
    })
}

fn key_layout(shapes: &[Shape]) -> (KeyLayout, Layout) {
    let columns: Vec<u16> = (0..shapes.len() as u16).collect();
    let (schema, layout) = table(shapes, &columns);
    schema.validate().unwrap();
    (KeyLayout::of(&schema, &schema.tables[0]).unwrap(), layout)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn keys_are_in_the_order_of_their_values((shapes, a, b) in two_keys()) {
        let (layout, _) = key_layout(&shapes);
        let (key_a, key_b) = (key_of(&layout, &a), key_of(&layout, &b));
        prop_assert_eq!(key_a.cmp(&key_b), order_all(&a, &b));
    }

    #[test]
    fn a_row_compares_with_a_key_as_its_own_key_does(
        (shapes, a, b) in two_keys(),
        cut in any::<prop::sample::Index>(),
        behind in vec(any::<u8>(), 0..3),
    ) {
        let (layout, row_layout) = key_layout(&shapes);
        let row = encode(&row_layout, &Value::Struct(a.clone()));
        let key_a = key_of(&layout, &a);
        let key_b = key_of(&layout, &b);
        // Bounds of ranges are no whole keys, and may be behind any.
        let part = &key_b[..cut.index(key_b.len() + 1)];
        let bound = [part, &behind[..]].concat();
        for key in [key_b.clone(), Key::from_slice(part), Key::from_slice(&bound)] {
            prop_assert_eq!(layout.compare(&row, &key), key_a.cmp(&key));
        }
    }

    #[test]
    fn keys_begin_alike_where_their_first_columns_are_equal((shapes, a, b) in two_keys()) {
        let (layout, _) = key_layout(&shapes);
        let key = key_of(&layout, &b);
        for columns in 0..=shapes.len() {
            let (schema, prefix_layout) = table(&shapes[..columns], &[]);
            drop(schema);
            let mut row = encode(&prefix_layout, &Value::Struct(a[..columns].to_vec()));
            let prefix = layout.prefix(columns);
            prop_assert_eq!(prefix.columns(), columns);
            prop_assert_eq!(prefix.is_whole(), columns == shapes.len());
            prop_assert_eq!(prefix.check(&mut row), Ok(()));
            let mut bytes = Key::new();
            prefix.from_key_row(&row, &mut bytes);
            let equal = order_all(&a[..columns], &b[..columns]).is_eq();
            prop_assert_eq!(key.starts_with(&bytes), equal);

            row.push(0);
            prop_assert!(prefix.check(&mut row).is_err());
        }
    }

    #[test]
    fn a_row_has_the_key_of_its_key_columns(
        (shapes, values) in vec(key_shape(), 1..5).prop_flat_map(|shapes| {
            let values = shapes.iter().map(value).collect::<Vec<_>>();
            (Just(shapes), values)
        }),
        seed in any::<u64>(),
    ) {
        // The key columns in another order than the table's.
        let mut columns: Vec<u16> = (0..shapes.len() as u16).collect();
        columns.rotate_left(seed as usize % shapes.len());
        columns.truncate(1 + (seed >> 32) as usize % shapes.len());
        let (schema, row_layout) = table(&shapes, &columns);
        let layout = KeyLayout::of(&schema, &schema.tables[0]).unwrap();
        prop_assert_eq!(layout.columns(), &columns);

        let row = encode(&row_layout, &Value::Struct(values.clone()));
        let mut key = Key::from_slice(b"left over");
        layout.from_row(&row, &mut key);
        let parts: Vec<Value> =
            columns.iter().map(|&column| values[usize::from(column)].clone()).collect();
        prop_assert_eq!(key, key_of(&layout, &parts));
    }

    #[test]
    fn rows_that_were_not_checked_do_no_harm(
        shapes in vec(key_shape(), 1..4),
        bytes in vec(any::<u8>(), 0..40),
    ) {
        let (layout, _) = key_layout(&shapes);
        let mut key = Key::new();
        layout.from_row(&bytes, &mut key);
        layout.from_key_row(&bytes, &mut key);
        layout.prefix(9).from_key_row(&bytes, &mut key);
        layout.compare(&bytes, &key);
    }
}

/// A guest pays for a row that it looks at, not for its key.
#[test]
fn no_more_of_a_long_key_is_compared_than_decides() {
    let (layout, row_layout) = key_layout(&[Shape::Plain(Type::Bytes), Shape::Plain(Type::U8)]);
    let long = [Value::Bytes(vec![0; 4 << 20]), Value::Unsigned(1)];
    let row = encode(&row_layout, &Value::Struct(long.to_vec()));
    for content in [&b""[..], b"\0", b"\0\0\0", b"a"] {
        let key = key_of(&layout, &[Value::Bytes(content.to_vec()), Value::Unsigned(1)]);
        // Hours, if each looked at all of the row.
        for _ in 0..1_000_000 {
            let expected = if content == b"a" { Ordering::Less } else { Ordering::Greater };
            assert_eq!(layout.compare(&row, &key), expected);
        }
    }
}

fn check(ty: Type, value: Value, expected: &[u8]) {
    let (layout, _) = key_layout(&[Shape::Plain(ty)]);
    assert_eq!(&*key_of(&layout, &[value]), expected);
}

#[test]
fn the_bytes_are_as_documented() {
    check(Type::Bool, Value::Bool(true), &[1]);
    check(Type::U32, Value::Unsigned(0x0102_0304), &[1, 2, 3, 4]);
    check(Type::I16, Value::Signed(-2), &[0x7f, 0xfe]);
    check(Type::I8, Value::Signed(1), &[0x81]);
    check(Type::Timestamp, Value::Timestamp(5), &[0x80, 0, 0, 0, 0, 0, 0, 5]);
    check(Type::String, Value::String("n\0".into()), b"n\x00\xff\x00\x00");
    check(Type::Bytes, Value::Bytes(vec![]), &[0, 0]);
    check(Type::Bytes, Value::Bytes(vec![0, 0]), &[0, 0xff, 0, 0xff, 0, 0]);
    let (layout, _) = key_layout(&[Shape::Plain(Type::U64), Shape::Plain(Type::String)]);
    let parts = [Value::Unsigned(1), Value::String("ab".into())];
    assert_eq!(&*key_of(&layout, &parts), b"\0\0\0\0\0\0\0\x01ab\0\0");
    assert_eq!(layout.row().size(), 16);
}

#[test]
fn keys_of_tables_that_were_not_checked_are_refused() {
    let refused = |ty: Shape, columns: &[u16]| {
        let (schema, _) = table(&[ty], columns);
        KeyLayout::of(&schema, &schema.tables[0]).unwrap_err().to_string()
    };
    assert_eq!(
        refused(Shape::Plain(Type::F64), &[0]),
        "table t: its column f0 of type `f64` cannot be in a key"
    );
    assert_eq!(
        refused(Shape::Option(Box::new(Shape::Plain(Type::U8))), &[0]),
        "table t: its column f0 of type `option<u8>` cannot be in a key"
    );
    let message = "table t: its key is not a list of its columns";
    assert_eq!(refused(Shape::Plain(Type::U8), &[1]), message);
    assert_eq!(refused(Shape::Plain(Type::U8), &[]), message);
}
