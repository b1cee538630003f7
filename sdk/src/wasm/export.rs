//! Exports, and the schema section.

use core::mem::ManuallyDrop;

use interstice_abi::host_calls;

use crate::{
    encoding::{Decode, Encode, from_bytes, from_slot, malformed},
    function::Outcome,
    host,
};

/// One call: arguments in, the function, its result out.
///
/// # Safety
///
/// The host runs an export that is a reducer or query, whose parameters in the
/// schema are those that `A` reads.
#[inline]
pub unsafe fn run<A: Decode, R: Outcome>(args_len: i32, function: impl FnOnce(A) -> R) {
    let args_len = args_len as usize;
    let args: A = if A::IS_FIXED {
        if args_len != size_of::<<A as Encode>::Slot>() {
            malformed()
        }
        from_slot(&host::args_slot())
    } else {
        from_bytes(&ManuallyDrop::new(host::args_bytes(args_len)))
    };
    // Behind the call the host restores the memory: nothing is given back.
    ManuallyDrop::new(function(args)).send(host::Reply);
}

/// Puts an item of the schema into the module's custom section.
#[doc(hidden)]
#[macro_export]
macro_rules! __schema {
    ($module:expr, $item:expr) => {
        const _: () = {
            use $crate::__private::section::{ItemDesc, fragment, fragment_len};
            const ITEM: ItemDesc = $item;
            // Not `#[used]`: the linker copies the section in any case, and
            // the bytes are not needed in the module's memory.
            #[unsafe(link_section = "interstice.schema")]
            static FRAGMENT: [u8; fragment_len($module, &ITEM)] = fragment($module, &ITEM);
        };
    };
}

/// Exports a reducer or query, and puts it into the schema.
#[doc(hidden)]
#[macro_export]
macro_rules! __function {
    ($module:expr, $item:expr, $name:literal, $export:literal, $args:ty, $function:expr) => {
        $crate::__schema!($module, $item);
        const _: () = {
            #[unsafe(export_name = $export)]
            extern "C" fn export(args_len: i32) {
                let function = $function;
                // SAFETY: the attributes write this macro's uses, with the
                // types of the parameters in the schema and in `$args`.
                unsafe { $crate::__private::run::<$args, _>(args_len, function) }
            }
        };
    };
}

const _: () = assert!(
    matches!(host_calls::SCHEMA_SECTION.as_bytes(), b"interstice.schema"),
    "the attribute above says it too"
);
