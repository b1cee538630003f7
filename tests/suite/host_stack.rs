//! A guest that runs long needs no more of the host's stack.
//!
//! The interpreter goes from one instruction to the next by a jump that the
//! compiler makes of a call. Nothing in the language promises that it does: in
//! a build where it does not, for one instruction or for all, a guest's loop
//! fills the host's stack and the process dies. So: every instruction, many
//! times, on a small stack.

use std::{fmt::Write, thread};

use interstice_tests::{Fixture, Function, Guest};

const STACK: usize = 256 << 10;
/// As many rounds that one instruction alone, leaking one word each, would
/// fill the stack twice.
const ROUNDS: u32 = 2 * STACK as u32 / 8;

/// Instructions with their operand and result types, by name: `%` is the type.
fn instructions() -> Vec<(String, &'static str, &'static str, usize)> {
    let mut all = Vec::new();
    let mut add = |names: &str, operand: &'static str, result: &'static str, operands: usize| {
        for name in names.split_whitespace() {
            all.push((name.replace('%', operand), operand, result, operands));
        }
    };
    for int in ["i32", "i64"] {
        add("%.clz %.ctz %.popcnt %.extend8_s %.extend16_s", int, int, 1);
        add("%.eqz", int, "i32", 1);
        add("%.add %.sub %.mul %.div_s %.div_u %.rem_s %.rem_u %.and %.or %.xor", int, int, 2);
        add("%.shl %.shr_s %.shr_u %.rotl %.rotr", int, int, 2);
        add("%.eq %.ne %.lt_s %.lt_u %.gt_s %.gt_u %.le_s %.le_u %.ge_s %.ge_u", int, "i32", 2);
        add("f32.convert_%_s f32.convert_%_u", int, "f32", 1);
        add("f64.convert_%_s f64.convert_%_u", int, "f64", 1);
    }
    for float in ["f32", "f64"] {
        add("%.abs %.neg %.ceil %.floor %.trunc %.nearest %.sqrt", float, float, 1);
        add("%.add %.sub %.mul %.div %.min %.max %.copysign", float, float, 2);
        add("%.eq %.ne %.lt %.gt %.le %.ge", float, "i32", 2);
        add("i32.trunc_%_s i32.trunc_%_u i32.trunc_sat_%_s i32.trunc_sat_%_u", float, "i32", 1);
        add("i64.trunc_%_s i64.trunc_%_u i64.trunc_sat_%_s i64.trunc_sat_%_u", float, "i64", 1);
    }
    add("i64.extend32_s", "i64", "i64", 1);
    add("i64.extend_i32_s i64.extend_i32_u", "i32", "i64", 1);
    add("i32.wrap_i64", "i64", "i32", 1);
    add("f32.demote_f64", "f64", "f32", 1);
    add("f64.promote_f32", "f32", "f64", 1);
    add("i32.reinterpret_f32", "f32", "i32", 1);
    add("i64.reinterpret_f64", "f64", "i64", 1);
    add("f32.reinterpret_i32", "i32", "f32", 1);
    add("f64.reinterpret_i64", "i64", "f64", 1);
    all
}

fn constant(ty: &str) -> &'static str {
    if ty.starts_with('i') { "3" } else { "1.5" }
}

/// Every instruction on values in locals and, in other forms, on constants.
fn numeric() -> String {
    let mut code = String::new();
    for (name, operand, result, operands) in instructions() {
        let local = |name: &str| format!("(local.get ${name}_{operand})");
        let constant = format!("({operand}.const {})", constant(operand));
        let forms = match operands {
            1 => vec![local("a")],
            _ => vec![
                format!("{} {}", local("a"), local("b")),
                format!("{} {constant}", local("a")),
                format!("{constant} {}", local("b")),
            ],
        };
        for form in forms {
            let _ = writeln!(code, "(local.set $r_{result} ({name} {form}))");
            if result == "i32" {
                let _ = writeln!(code, "(block (br_if 0 ({name} {form})))");
            }
        }
    }
    code
}

/// Loads, stores, and what else is not a number's business.
fn others() -> String {
    let mut code = String::new();
    for (ty, narrow) in [
        ("i32", &["", "8_s", "8_u", "16_s", "16_u"][..]),
        ("i64", &["", "8_s", "8_u", "16_s", "16_u", "32_s", "32_u"]),
        ("f32", &[""]),
        ("f64", &[""]),
    ] {
        for width in narrow {
            for address in ["(local.get $a_i32)", "(i32.const 64)", "offset=9 (local.get $a_i32)"] {
                let _ = writeln!(code, "(local.set $r_{ty} ({ty}.load{width} {address}))");
                let store = width.trim_end_matches("_s");
                if !width.ends_with("_u") {
                    for value in
                        [format!("(local.get $a_{ty})"), format!("({ty}.const {})", constant(ty))]
                    {
                        let _ = writeln!(code, "({ty}.store{store} {address} {value})");
                    }
                }
            }
        }
        let _ = writeln!(
            code,
            "(local.set $r_{ty} (select (local.get $a_{ty}) (local.get $b_{ty}) (local.get $a_i32)))
             (global.set $g_{ty} (local.get $a_{ty}))
             (local.set $r_{ty} (global.get $g_{ty}))
             (local.set $r_{ty} (call $same_{ty} (local.get $a_{ty})))
             (local.set $r_{ty} (if (result {ty}) (local.get $r_i32)
                (then (local.get $a_{ty})) (else (local.get $b_{ty}))))"
        );
    }
    code + "(local.set $r_i32 (call_indirect (param i32) (result i32)
                (local.get $a_i32) (i32.const 0)))
            (block (block (block (br_table 0 1 2 (local.get $a_i32)))))
            (memory.copy (i32.const 100) (i32.const 200) (i32.const 8))
            (memory.fill (i32.const 100) (i32.const 1) (i32.const 8))
            (memory.init $data (i32.const 100) (i32.const 0) (i32.const 2))
            (local.set $r_i32 (memory.size))
            (local.set $r_i32 (memory.grow (i32.const 0)))
            (local.set $r_i32 (table.size $table))
            (local.set $r_i32 (ref.is_null (table.get $table (i32.const 0))))
            (local.set $r_i32 (ref.is_null (ref.func $same_i32)))
            (local.set $r_i64 (call $now))
            (nop)"
}

fn guest() -> Guest {
    let mut definitions = String::from(
        r#"(table $table 1 funcref) (elem (i32.const 0) $same_i32) (elem declare func $same_i32)
           (data $data "ab")"#,
    );
    let mut locals = String::from("(local $left i32)");
    let mut values = String::new();
    for ty in ["i32", "i64", "f32", "f64"] {
        let _ = write!(
            definitions,
            r#"(global $g_{ty} (export "g_{ty}") (mut {ty}) ({ty}.const 0))
               (func $same_{ty} (param {ty}) (result {ty}) (local.get 0))"#
        );
        let _ = write!(locals, "(local $a_{ty} {ty}) (local $b_{ty} {ty}) (local $r_{ty} {ty})");
        let _ =
            write!(values, "(local.set $a_{ty} ({ty}.const 7)) (local.set $b_{ty} ({ty}.const 2))");
    }
    let body = |code: &str| {
        format!(
            "{locals} {values}
             (local.set $left (i32.const {ROUNDS}))
             (loop $next
                {code}
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $next (local.get $left)))"
        )
    };
    Guest::new("long")
        .code(&definitions)
        .reducer(Function::new("empty"), &body(""))
        .reducer(Function::new("numeric"), &body(&numeric()))
        .reducer(Function::new("others"), &body(&others()))
}

#[test]
fn long_runs_of_every_instruction_fit_a_small_host_stack() {
    let run = || {
        let limits = interstice_core::Limits { fuel_per_call: u64::MAX / 2, ..Default::default() };
        let mut fixture = Fixture::with_limits(limits);
        fixture.install(&guest()).unwrap();
        for reducer in ["long.empty", "long.numeric", "long.others"] {
            fixture.call(reducer, &[]).unwrap();
        }
    };
    let thread = thread::Builder::new().stack_size(STACK).spawn(run).unwrap();
    thread.join().unwrap();
}
