//! Values out of a seed, from small sets, so that keys meet again.

use interstice_core::abi::{
    layout::{Kind, Layout},
    value::Value,
};

use crate::random::Random;

const TEXTS: [&str; 7] = ["", "a", "b", "a\0b", "a\0", "\u{7f}é", "longer than sixteen bytes"];

/// A value of any type.
pub(super) fn value(random: &mut Random, layout: &Layout) -> Value {
    match layout.kind() {
        Kind::Bool => Value::Bool(random.chance(50)),
        Kind::Unsigned(bytes) => Value::Unsigned(unsigned(random, u32::from(*bytes) * 8)),
        Kind::Signed(bytes) => Value::Signed(signed(random, u32::from(*bytes) * 8)),
        Kind::F32 => Value::F32(float(random) as f32),
        Kind::F64 => Value::F64(float(random)),
        Kind::Timestamp => Value::Timestamp(signed(random, 64) as i64),
        Kind::String => Value::String((*random.pick(&TEXTS)).into()),
        Kind::Bytes => {
            let len = random.below(6) as usize;
            Value::Bytes(random.bytes(len))
        }
        Kind::Option(inner) => {
            let some = random.chance(60).then(|| Box::new(value(random, inner)));
            Value::Option(some)
        }
        Kind::List(inner) => {
            let len = random.below(4);
            Value::List((0..len).map(|_| value(random, inner)).collect())
        }
        Kind::Struct(fields) => {
            Value::Struct(fields.iter().map(|field| value(random, &field.layout)).collect())
        }
        Kind::Enum(variants) => {
            let variant = random.below(variants.len() as u64);
            let fields = variants[variant as usize].fields.fields().iter();
            let fields = fields.map(|field| value(random, &field.layout)).collect();
            Value::Enum { variant: variant as u16, fields }
        }
    }
}

fn unsigned(random: &mut Random, bits: u32) -> u128 {
    let max = u128::MAX >> (128 - bits);
    match random.below(20) {
        0 => max,
        1 => max / 2 + 1,
        2 => u128::from(random.number()) & max,
        // Zero is left out: in a numbered column it asks for a number.
        _ => u128::from(random.below(12) + 1),
    }
}

fn signed(random: &mut Random, bits: u32) -> i128 {
    let max = i128::MAX >> (128 - bits);
    match random.below(20) {
        0 => max,
        1 => -max - 1,
        2 => i128::from(random.number() as i64) >> (64u32.saturating_sub(bits)),
        _ => i128::from(random.below(7)) - 3,
    }
}

fn float(random: &mut Random) -> f64 {
    *random.pick(&[
        0.0,
        -0.0,
        1.5,
        -1.5,
        1e300,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MIN_POSITIVE / 2.0,
    ])
}
