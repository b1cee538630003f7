//! The guest's encoding against the host's: `interstice_abi::layout` and
//! `interstice_abi::value`.

use alloc::{string::String, vec, vec::Vec};
use std::boxed::Box;

use interstice_abi::{layout::Layout, value::Value};
use proptest::{collection::vec as list, option, prelude::*};

use super::{from_bytes, to_bytes};
use crate::{prelude::*, testing};

/// What a value is to the host.
trait ToValue {
    fn to_value(&self) -> Value;
}

macro_rules! to_value {
    ($($ty:ty: |$value:ident| $host:expr;)*) => { $(
        impl ToValue for $ty {
            fn to_value(&self) -> Value {
                let $value = self;
                $host
            }
        }
    )* };
}

to_value! {
    bool: |v| Value::Bool(*v);
    u8: |v| Value::Unsigned((*v).into());
    u16: |v| Value::Unsigned((*v).into());
    u32: |v| Value::Unsigned((*v).into());
    u64: |v| Value::Unsigned((*v).into());
    u128: |v| Value::Unsigned(*v);
    i8: |v| Value::Signed((*v).into());
    i16: |v| Value::Signed((*v).into());
    i32: |v| Value::Signed((*v).into());
    i64: |v| Value::Signed((*v).into());
    i128: |v| Value::Signed(*v);
    f32: |v| Value::F32(*v);
    f64: |v| Value::F64(*v);
    Timestamp: |v| Value::Timestamp(v.micros());
    String: |v| Value::String(v.clone());
    Bytes: |v| Value::Bytes(v.0.clone());
    Point: |v| Value::Struct(vec![v.x.to_value(), v.y.to_value()]);
    Color: |v| Value::Enum { variant: *v as u16, fields: vec![] };
    Shape: |v| match v {
        Shape::Nothing => Value::Enum { variant: 0, fields: vec![] },
        Shape::Circle { center, radius } => Value::Enum {
            variant: 1,
            fields: vec![center.to_value(), radius.to_value()],
        },
        Shape::Path { points, name, then } => Value::Enum {
            variant: 2,
            fields: vec![points.to_value(), name.to_value(), then.to_value()],
        },
    };
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        Value::Option(self.as_ref().map(|value| Box::new(value.to_value())))
    }
}

impl<T: ToValue> ToValue for Vec<T> {
    fn to_value(&self) -> Value {
        Value::List(self.iter().map(ToValue::to_value).collect())
    }
}

#[derive(Clone, Column, Debug, PartialEq)]
struct Point {
    x: i32,
    y: Option<f32>,
}

#[derive(Clone, Copy, Column, Debug, PartialEq)]
enum Color {
    Red,
    Green,
    Blue,
}

#[derive(Clone, Column, Debug, PartialEq)]
enum Leaf {
    Empty,
    Text { text: String },
}

to_value! {
    Leaf: |v| match v {
        Leaf::Empty => Value::Enum { variant: 0, fields: vec![] },
        Leaf::Text { text } => Value::Enum { variant: 1, fields: vec![text.to_value()] },
    };
}

#[derive(Clone, Column, Debug, PartialEq)]
enum Shape {
    Nothing,
    Circle { center: Point, radius: f64 },
    Path { points: Vec<Point>, name: Option<String>, then: Vec<Leaf> },
}

/// Declares a table with a property test of its rows.
macro_rules! tables {
    ($($(#[$doc:meta])* $test:ident, $table:ident {
        $($(#[$key:ident])? $column:ident: $ty:ty = $strategy:expr,)*
    })*) => { $(
        #[table]
        #[derive(Clone, Debug, PartialEq)]
        struct $table {
            $($(#[$key])? $column: $ty,)*
        }

        proptest! {
            $(#[$doc])*
            #[test]
            fn $test($($column in $strategy),*) {
                let row = $table { $($column),* };
                let value = Value::Struct(vec![$(row.$column.to_value()),*]);
                check(&row, &value)?;
            }
        }
    )* };
}

/// Guest and host agree about `row`, which is `value` to the host.
fn check<T: crate::Table + PartialEq + core::fmt::Debug>(
    row: &T,
    value: &Value,
) -> Result<(), TestCaseError> {
    let schema = testing::schema(T::MODULE);
    let table = schema.table(T::DESC.name).unwrap();
    let layout = Layout::of_fields(&schema, schema.columns(table)).unwrap();
    prop_assert_eq!(layout.size(), size_of::<T::Slot>());
    prop_assert_eq!(layout.is_fixed(), T::IS_FIXED);

    let mut guest = to_bytes(row);
    let mut host = Vec::new();
    layout.encode(value, &mut host).unwrap();
    prop_assert_eq!(&guest, &host, "{}", layout.display(&host));
    prop_assert_eq!(layout.check(&mut guest), Ok(()));
    prop_assert_eq!(&guest, &host, "nothing had to be made canonical");
    prop_assert_eq!(&from_bytes::<T>(&host), row);
    Ok(())
}

/// No NaN: the host makes them canonical, and they equal nothing.
fn f64s() -> impl Strategy<Value = f64> {
    any::<f64>().prop_map(|value| if value.is_nan() { -0.0 } else { value })
}

fn f32s() -> impl Strategy<Value = f32> {
    any::<f32>().prop_map(|value| if value.is_nan() { -0.0 } else { value })
}

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn point() -> impl Strategy<Value = Point> {
    (any::<i32>(), option::of(f32s())).prop_map(|(x, y)| Point { x, y })
}

fn color() -> impl Strategy<Value = Color> {
    prop_oneof![Just(Color::Red), Just(Color::Green), Just(Color::Blue)]
}

fn leaf() -> impl Strategy<Value = Leaf> {
    prop_oneof![Just(Leaf::Empty), text().prop_map(|text| Leaf::Text { text })]
}

fn shape() -> impl Strategy<Value = Shape> {
    let circle = (point(), f64s());
    let path = (list(point(), 0..4), option::of(text()), list(leaf(), 0..4));
    prop_oneof![
        Just(Shape::Nothing),
        circle.prop_map(|(center, radius)| Shape::Circle { center, radius }),
        path.prop_map(|(points, name, then)| Shape::Path { points, name, then }),
    ]
}

tables! {
    scalars_lie_as_the_host_reads_them, Scalars {
        #[key] id: u64 = any::<u64>(),
        yes: bool = any::<bool>(),
        a: u8 = any::<u8>(),
        b: u16 = any::<u16>(),
        c: u32 = any::<u32>(),
        d: u128 = any::<u128>(),
        e: i8 = any::<i8>(),
        f: i16 = any::<i16>(),
        g: i32 = any::<i32>(),
        h: i64 = any::<i64>(),
        i: i128 = any::<i128>(),
        j: f32 = f32s(),
        k: f64 = f64s(),
        at: Timestamp = any::<i64>().prop_map(Timestamp::from_micros),
    }
    texts_lie_in_the_tail_in_order, Texts {
        #[key] first: String = text(),
        number: u32 = any::<u32>(),
        second: Bytes = list(any::<u8>(), 0..9).prop_map(Bytes),
        third: String = text(),
    }
    lists_lie_depth_first, Lists {
        #[key] id: u8 = any::<u8>(),
        bytes: Vec<u8> = list(any::<u8>(), 0..9),
        wide: Vec<u128> = list(any::<u128>(), 0..3),
        texts: Vec<String> = list(text(), 0..4),
        nested: Vec<Vec<String>> = list(list(text(), 0..3), 0..3),
        options: Vec<Option<u16>> = list(option::of(any::<u16>()), 0..4),
    }
    options_are_zero_or_all_there, Options {
        #[key] id: i32 = any::<i32>(),
        plain: Option<u64> = option::of(any::<u64>()),
        text: Option<String> = option::of(text()),
        twice: Option<Option<bool>> = option::of(option::of(any::<bool>())),
        list: Option<Vec<String>> = option::of(list(text(), 0..3)),
        point: Option<Point> = option::of(point()),
        shape: Option<Shape> = option::of(shape()),
    }
    structs_and_enums_nest, Nested {
        #[key] color: Color = color(),
        point: Point = point(),
        shape: Shape = shape(),
        shapes: Vec<Shape> = list(shape(), 0..3),
        colors: Vec<Color> = list(color(), 0..3),
        name: String = text(),
    }
}

#[test]
fn a_row_may_have_columns_named_like_the_macros_variables() {
    #[table]
    #[derive(Debug, PartialEq)]
    struct Awkward {
        #[key]
        slot: u8,
        stored: String,
        tail: u16,
        r#type: u32,
    }
    let row = Awkward { slot: 1, stored: "2".into(), tail: 3, r#type: 4 };
    let value = Value::Struct(vec![
        Value::Unsigned(1),
        Value::String("2".into()),
        Value::Unsigned(3),
        Value::Unsigned(4),
    ]);
    check(&row, &value).unwrap();
}
