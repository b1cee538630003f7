use std::{cmp::Ordering, collections::BTreeMap, ops::Bound};

use interstice_abi::{
    filter::{Comparison, DEPTH, Filter, FilterError, NODES, Scan, ScanWriter},
    key::{Key, KeyLayout},
    layout::Layout,
    schema::{ModuleSchema, Type},
    value::Value,
};
use proptest::{collection::vec, prelude::*, sample::select, strategy::Union};

use crate::{
    arbitrary::{Shape, encode, plain, table, value},
    key::{key_shape, order, order_all},
};

/// A filter as a tree of values, which the naive evaluation walks.
#[derive(Clone, Debug)]
enum Tree {
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Not(Box<Tree>),
    Compare(u16, Comparison, Value),
    IsNone(u16),
    IsSome(u16),
    StartsWith(u16, Vec<u8>),
    Contains(u16, Vec<u8>),
}

/// Bytes as the format's description has them.
fn write(tree: &Tree, row: &Layout, out: &mut Vec<u8>) {
    let operand = |out: &mut Vec<u8>, node: u8, column: u16, content: &[u8]| {
        out.push(node);
        out.extend(column.to_le_bytes());
        out.extend((content.len() as u32).to_le_bytes());
        out.extend(content);
    };
    match tree {
        Tree::And(children) | Tree::Or(children) => {
            out.push(if matches!(tree, Tree::And(_)) { 0 } else { 1 });
            out.push(children.len() as u8);
            children.iter().for_each(|child| write(child, row, out));
        }
        Tree::Not(child) => {
            out.push(2);
            write(child, row, out);
        }
        Tree::Compare(column, comparison, value) => {
            let value = encode(&row.fields()[usize::from(*column)].layout, value);
            operand(out, *comparison as u8, *column, &value);
        }
        Tree::IsNone(column) => out.extend([9, *column as u8, 0]),
        Tree::IsSome(column) => out.extend([10, *column as u8, 0]),
        Tree::StartsWith(column, content) => operand(out, 11, *column, content),
        Tree::Contains(column, content) => operand(out, 12, *column, content),
    }
}

/// The same with the guest's builder, which knows no empty `and` and `or`.
fn build(tree: &Tree, row: &Layout) -> Option<Filter> {
    Some(match tree {
        Tree::And(children) => {
            children.iter().map(|child| build(child, row)).reduce(|a, b| Some(a?.and(b?)))??
        }
        Tree::Or(children) => {
            children.iter().map(|child| build(child, row)).reduce(|a, b| Some(a?.or(b?)))??
        }
        Tree::Not(child) => !build(child, row)?,
        Tree::Compare(column, comparison, value) => {
            let value = encode(&row.fields()[usize::from(*column)].layout, value);
            Filter::compare(*column, *comparison, &value)
        }
        Tree::IsNone(column) => Filter::is_none(*column),
        Tree::IsSome(column) => Filter::is_some(*column),
        Tree::StartsWith(column, content) => Filter::starts_with(*column, content),
        Tree::Contains(column, content) => Filter::contains(*column, content),
    })
}

fn holds(tree: &Tree, row: &[Value]) -> bool {
    let column = |index: &u16| &row[usize::from(*index)];
    match tree {
        Tree::And(children) => children.iter().all(|child| holds(child, row)),
        Tree::Or(children) => children.iter().any(|child| holds(child, row)),
        Tree::Not(child) => !holds(child, row),
        Tree::Compare(index, comparison, value) => compare(column(index), *comparison, value),
        Tree::IsNone(index) => matches!(column(index), Value::Option(None)),
        Tree::IsSome(index) => !matches!(column(index), Value::Option(None)),
        Tree::StartsWith(index, content) => {
            text(column(index)).is_some_and(|text| text.starts_with(content))
        }
        Tree::Contains(index, content) => text(column(index)).is_some_and(|text| {
            content.is_empty() || text.windows(content.len()).any(|part| part == content)
        }),
    }
}

fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::String(text) => Some(text.as_bytes()),
        Value::Bytes(bytes) => Some(bytes),
        Value::Option(inner) => text(inner.as_deref()?),
        _ => unreachable!("no text"),
    }
}

fn compare(column: &Value, comparison: Comparison, value: &Value) -> bool {
    let order = match (column, value) {
        (Value::Option(None), Value::Option(None)) => Some(Ordering::Equal),
        (Value::Option(None), Value::Option(Some(_))) => return false,
        (Value::Option(Some(_)), Value::Option(None)) => None,
        (Value::Option(Some(column)), Value::Option(Some(value))) => {
            return compare(column, comparison, value);
        }
        (Value::F32(column), Value::F32(value)) => column.partial_cmp(value),
        (Value::F64(column), Value::F64(value)) => column.partial_cmp(value),
        _ => Some(order(column, value)),
    };
    match comparison {
        Comparison::Eq => order == Some(Ordering::Equal),
        Comparison::Ne => order != Some(Ordering::Equal),
        Comparison::Lt => order == Some(Ordering::Less),
        Comparison::Le => order.is_some_and(Ordering::is_le),
        Comparison::Gt => order == Some(Ordering::Greater),
        Comparison::Ge => order.is_some_and(Ordering::is_ge),
    }
}

/// The shape of a column that can be compared.
fn column_shape() -> impl Strategy<Value = Shape> {
    let bare = prop_oneof![
        4 => plain().prop_map(Shape::Plain),
        1 => (1..4usize).prop_map(|variants| Shape::Enum(vec![vec![]; variants])),
    ];
    (bare, 0..3usize).prop_map(|(shape, options)| {
        (0..options).fold(shape, |shape, _| Shape::Option(Box::new(shape)))
    })
}

fn is_text(shape: &Shape) -> bool {
    match shape {
        Shape::Option(inner) => is_text(inner),
        shape => matches!(shape, Shape::Plain(Type::String | Type::Bytes)),
    }
}

/// Conditions on the columns of `shapes`, some of them near what `row` holds.
fn leaf(shapes: &[Shape], row: &[Value]) -> BoxedStrategy<Tree> {
    let mut leaves = Vec::new();
    for (index, (shape, own)) in shapes.iter().zip(row).enumerate() {
        let index = index as u16;
        let operand = prop_oneof![Just(own.clone()), value(shape)];
        let comparison = select(Comparison::ALL.to_vec());
        leaves.push(
            (comparison, operand)
                .prop_map(move |(comparison, value)| Tree::Compare(index, comparison, value))
                .boxed(),
        );
        if matches!(shape, Shape::Option(_)) {
            leaves.push(select(vec![Tree::IsNone(index), Tree::IsSome(index)]).boxed());
        }
        if is_text(shape) {
            let own = text(own).unwrap_or_default().to_vec();
            let part = (0..=own.len(), 0..=own.len())
                .prop_map(move |(a, b)| own[a.min(b)..a.max(b)].to_vec());
            let content = prop_oneof![part, vec(select(b"\0\x01ab".to_vec()), 0..3)];
            leaves.push(
                (content, any::<bool>())
                    .prop_map(move |(content, start)| match start {
                        true => Tree::StartsWith(index, content),
                        false => Tree::Contains(index, content),
                    })
                    .boxed(),
            );
        }
    }
    Union::new(leaves).boxed()
}

fn tree(shapes: &[Shape], row: &[Value]) -> impl Strategy<Value = Tree> + use<> {
    leaf(shapes, row).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Tree::And),
            vec(inner.clone(), 0..4).prop_map(Tree::Or),
            inner.prop_map(|tree| Tree::Not(Box::new(tree))),
        ]
    })
}

#[derive(Clone, Debug)]
struct Case {
    shapes: Vec<Shape>,
    row: Vec<Value>,
    other: Vec<Value>,
    tree: Tree,
}

fn case() -> impl Strategy<Value = Case> {
    vec(column_shape(), 1..5)
        .prop_flat_map(|shapes| {
            let row = || shapes.iter().map(value).collect::<Vec<_>>();
            (Just(shapes.clone()), row(), row())
        })
        .prop_flat_map(|(shapes, row, other)| {
            let tree = tree(&shapes, &row);
            (Just((shapes, row, other)), tree).prop_map(|((shapes, row, other), tree)| Case {
                shapes,
                row,
                other,
                tree,
            })
        })
}

/// A table of `u8` keys, and these columns behind.
fn filtered(shapes: &[Shape]) -> (KeyLayout, Layout) {
    let shapes = [shapes, &[Shape::Plain(Type::U8)]].concat();
    let (schema, row) = table(&shapes, &[shapes.len() as u16 - 1]);
    (KeyLayout::of(&schema, &schema.tables[0]).unwrap(), row)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_filter_holds_as_its_meaning_does(case in case()) {
        let (key, layout) = filtered(&case.shapes);
        let mut bytes = vec![0];
        write(&case.tree, &layout, &mut bytes);
        let scan = Scan::check(&bytes, &layout, &key).unwrap();
        prop_assert!(scan.has_filter());
        let built = build(&case.tree, &layout).map(|filter| {
            let bytes = ScanWriter::new().filter(filter).finish();
            Scan::check(&bytes, &layout, &key).unwrap()
        });
        for row in [&case.row, &case.other] {
            let expected = holds(&case.tree, row);
            let mut columns = row.clone();
            columns.push(Value::Unsigned(0));
            let row = encode(&layout, &Value::Struct(columns));
            prop_assert_eq!(scan.matches(&row), expected);
            if let Some(scan) = &built {
                prop_assert_eq!(scan.matches(&row), expected);
            }
        }
    }

    #[test]
    fn a_changed_scan_is_refused_or_evaluated_without_harm(
        case in case(),
        change in (any::<prop::sample::Index>(), 1..=255u8),
        random in vec(any::<u8>(), 0..60),
    ) {
        let (key, layout) = filtered(&case.shapes);
        let mut bytes = ScanWriter::new().prefix(1, &[7]).limit(1).finish();
        write(&case.tree, &layout, &mut bytes);
        let at = change.0.index(bytes.len());
        bytes[at] ^= change.1;
        for bytes in [&bytes[..], &random, &bytes[..at]] {
            if let Ok(scan) = Scan::check(bytes, &layout, &key) {
                let mut columns = case.row.clone();
                columns.push(Value::Unsigned(0));
                let row = encode(&layout, &Value::Struct(columns));
                scan.matches(&row);
                scan.matches(&row[..row.len() / 2]);
                scan.matches(&random);
                let rows: BTreeMap<Key, ()> = BTreeMap::new();
                prop_assert_eq!(rows.range::<Key, _>((scan.lower(), scan.upper())).count(), 0);
            }
        }
    }
}

/// Key columns, rows of them, and two bounds: how many columns of a row, and
/// whether they are exclusive.
#[derive(Clone, Debug)]
struct Range {
    shapes: Vec<Shape>,
    rows: Vec<Vec<Value>>,
    lower: Option<(Vec<Value>, bool)>,
    upper: Option<(Vec<Value>, bool)>,
}

fn range() -> impl Strategy<Value = Range> {
    // Extreme values, so that bounds have keys on them and may have none behind.
    let shape = prop_oneof![
        select(vec![Type::Bool, Type::U8, Type::I16, Type::String, Type::Bytes])
            .prop_map(Shape::Plain),
        key_shape(),
    ];
    vec(shape, 1..4).prop_flat_map(|shapes| {
        let key = || shapes.iter().map(key_value).collect::<Vec<_>>();
        let bound = |columns: usize| {
            let bound =
                (key(), 0..=columns, any::<bool>()).prop_map(|(mut key, len, exclusive)| {
                    key.truncate(len);
                    (key, exclusive)
                });
            proptest::option::weighted(0.8, bound)
        };
        let columns = shapes.len();
        let parts = (vec(key(), 0..20), bound(columns), bound(columns));
        (Just(shapes.clone()), parts).prop_map(|(shapes, (rows, lower, upper))| Range {
            shapes,
            rows,
            lower,
            upper,
        })
    })
}

fn key_value(shape: &Shape) -> BoxedStrategy<Value> {
    match shape {
        Shape::Plain(Type::U8) => {
            select(vec![0u128, 1, 254, 255]).prop_map(Value::Unsigned).boxed()
        }
        Shape::Plain(Type::I16) => {
            select(vec![-32768i128, -1, 0, 32767]).prop_map(Value::Signed).boxed()
        }
        Shape::Plain(Type::Bytes) => {
            vec(select(vec![0u8, 255]), 0..3).prop_map(Value::Bytes).boxed()
        }
        shape => value(shape),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_range_has_the_keys_between_its_bounds(range in range()) {
        let columns: Vec<u16> = (0..range.shapes.len() as u16).collect();
        let (schema, layout) = table(&range.shapes, &columns);
        let key = KeyLayout::of(&schema, &schema.tables[0]).unwrap();

        let mut scan = ScanWriter::new();
        let bytes = |bound: &Vec<Value>| {
            let (_, layout) = table(&range.shapes[..bound.len()], &[]);
            (bound.len() as u8, encode(&layout, &Value::Struct(bound.clone())))
        };
        if let Some((bound, exclusive)) = &range.lower {
                let (columns, row) = bytes(bound);
                scan = if *exclusive { scan.after(columns, &row) } else { scan.from(columns, &row) };
        }
        if let Some((bound, exclusive)) = &range.upper {
                let (columns, row) = bytes(bound);
                scan = if *exclusive { scan.before(columns, &row) } else { scan.to(columns, &row) };
        }
        let scan = Scan::check(&scan.finish(), &layout, &key).unwrap();

        let mut rows = BTreeMap::new();
        for row in &range.rows {
            let mut bytes = Key::new();
            key.from_row(&encode(&layout, &Value::Struct(row.clone())), &mut bytes);
            rows.insert(bytes, row.clone());
        }
        let found: Vec<_> =
            rows.range::<Key, _>((scan.lower(), scan.upper())).map(|(_, row)| row.clone()).collect();

        let inside = |row: &Vec<Value>| {
            let lower = range.lower.as_ref().is_none_or(|(bound, exclusive)| {
                match order_all(row, bound) {
                    Ordering::Less => false,
                    Ordering::Equal => !exclusive,
                    Ordering::Greater => true,
                }
            });
            let upper = range.upper.as_ref().is_none_or(|(bound, exclusive)| {
                match order_all(row, bound) {
                    Ordering::Less => true,
                    Ordering::Equal => !exclusive,
                    Ordering::Greater => false,
                }
            });
            lower && upper
        };
        let expected: Vec<_> = rows.values().filter(|row| inside(row)).cloned().collect();
        prop_assert_eq!(found, expected);
    }
}

/// A table of (`id: u8`, `name: string`, `tags: list<u8>`, `note: option<string>`),
/// its key the first two.
fn sample() -> (ModuleSchema, Layout, KeyLayout) {
    let shapes = [
        Shape::Plain(Type::U8),
        Shape::Plain(Type::String),
        Shape::List(Box::new(Shape::Plain(Type::U8))),
        Shape::Option(Box::new(Shape::Plain(Type::String))),
    ];
    let (schema, layout) = table(&shapes, &[0, 1]);
    let key = KeyLayout::of(&schema, &schema.tables[0]).unwrap();
    (schema, layout, key)
}

fn refused(bytes: &[u8]) -> (FilterError, String) {
    let (_, layout, key) = sample();
    let error = Scan::check(bytes, &layout, &key).unwrap_err();
    let text = error.to_string();
    (error, text)
}

fn check(bytes: &[u8], expected: &str) {
    assert_eq!(refused(bytes).1, expected);
}

fn check_filter(filter: Filter, expected: &str) {
    check(&ScanWriter::new().filter(filter).finish(), expected);
}

#[test]
fn a_refused_scan_is_told_by_place_and_reason() {
    check(&[], "the scan does not decode: at byte 0: the input ends inside a value");
    check(&[64], "the scan has unknown flags: 0x40");
    check(&[4], "the scan has unknown flags: 0x04");
    check(&[16], "the scan has unknown flags: 0x10");
    check(
        &[2, 1, 9, 0, 0, 0],
        "the scan does not decode: at byte 6: the input ends inside a value",
    );
    check(
        &ScanWriter::new().from(3, &[]).finish(),
        "a bound of the scan has 3 columns, the key has 2",
    );
    check(
        &ScanWriter::new().to(1, &[1, 2]).finish(),
        "a bound of the scan is no key: byte 1: the value is 2 bytes long where 1 are due",
    );
    check(
        &ScanWriter::new().before(2, &[1, 9, 0, 0, 0, 1, 0, 0, 0, 0xff]).finish(),
        "a bound of the scan is no key: f1, byte 9: the string is not UTF-8",
    );
    check(&[0, 77], "the filter has an unknown node 77 at byte 1");
    check(
        &[0, 1, 0, 1],
        "the scan does not decode: at byte 3: bytes are left over behind the last value",
    );
}

#[test]
fn a_refused_filter_is_told_by_column_and_reason() {
    check_filter(Filter::is_some(4), "the filter names column 4, the row has 4");
    check_filter(
        Filter::is_none(0),
        "the column f0 of type `u8` is no option: it always has a value",
    );
    check_filter(
        Filter::contains(0, b"1"),
        "the column f0 of type `u8` has no parts to look for; strings and bytes have",
    );
    check_filter(
        Filter::compare(2, Comparison::Eq, &[8, 0, 0, 0, 0, 0, 0, 0]),
        "the column f2 of type `list<u8>` cannot be compared",
    );
    check_filter(
        Filter::compare(0, Comparison::Lt, &[1, 2]),
        "the value compared with the column f0 is not of its type: byte 1: the value is 2 bytes long where 1 are due",
    );
    check_filter(
        Filter::compare(3, Comparison::Lt, &[2, 0, 0, 0, 0, 0, 0, 0, 0]),
        "the value compared with the column f3 is not of its type: byte 0: 2 is neither 0 nor 1",
    );
}

#[test]
fn filters_are_bounded_in_depth_and_nodes() {
    let (_, layout, key) = sample();
    let leaf = [10, 3, 0];
    let nested = |depth: usize| [&[0][..], &vec![2; depth - 1], &leaf].concat();
    assert!(Scan::check(&nested(DEPTH), &layout, &key).is_ok());
    assert_eq!(refused(&nested(DEPTH + 1)).0, FilterError::TooDeep);
    assert_eq!(refused(&nested(100_000)).0, FilterError::TooDeep);
    assert_eq!(refused(&nested(100_000)).1, "the filter is nested deeper than 16");

    let wide = |nodes: usize| [&[0, 1, nodes as u8 - 1][..], &leaf.repeat(nodes - 1)].concat();
    assert!(Scan::check(&wide(NODES), &layout, &key).is_ok());
    assert_eq!(refused(&wide(NODES + 1)).0, FilterError::TooManyNodes);
    assert_eq!(refused(&wide(NODES + 1)).1, "the filter has more than 128 nodes");
}

#[test]
fn a_long_chain_is_one_node() {
    let (_, layout, key) = sample();
    let leaf = || Filter::is_some(3);
    let chain = (1..100).fold(leaf(), |chain, _| chain.and(leaf()));
    assert_eq!(chain.as_bytes().len(), 2 + 100 * 3);
    let either = (1..20).fold(leaf(), |chain, _| leaf().or(chain));
    let both = chain.clone().and(either);
    assert!(Scan::check(&ScanWriter::new().filter(both).finish(), &layout, &key).is_ok());

    // Counts have one byte.
    let long = (0..2).fold(chain.clone(), |long, _| long.and(chain.clone()));
    assert_eq!(long.as_bytes()[..4], [0, 2, 0, 200]);
}

#[test]
fn what_a_scan_asks_for_is_what_it_gets() {
    let (_, layout, key) = sample();
    let check = |scan: ScanWriter| Scan::check(&scan.finish(), &layout, &key).unwrap();
    let all = check(ScanWriter::new());
    assert!(!all.reverse() && !all.has_filter() && all.matches(&[]));
    assert_eq!((all.limit(), all.lower(), all.upper()), (None, Bound::Unbounded, Bound::Unbounded));

    let some = check(ScanWriter::new().reverse().limit(7).prefix(1, &[3]));
    assert!(some.reverse());
    assert_eq!(some.limit(), Some(7));
    assert_eq!(some.lower(), Bound::Included(&Key::from_slice(&[3][..])));
    assert_eq!(some.upper(), Bound::Excluded(&Key::from_slice(&[4][..])));

    // A later bound replaces an earlier one.
    let last =
        check(ScanWriter::new().after(1, &[9]).from(1, &[255]).before(1, &[1]).to(1, &[255]));
    assert_eq!(last.lower(), Bound::Included(&Key::from_slice(&[255][..])));
    assert_eq!(last.upper(), Bound::Unbounded);

    let none = check(ScanWriter::new().after(1, &[255]));
    assert_eq!(none.lower(), Bound::Included(&Key::from_slice(&[][..])));
    assert_eq!(none.upper(), Bound::Excluded(&Key::from_slice(&[][..])));

    let filters = ScanWriter::new().filter(Filter::is_some(3)).filter(!Filter::is_some(3));
    assert!(!check(filters.clone()).matches(&[0; 25]));
    assert!(check(filters).has_filter());
}
