//! What the modules of a test program consist of.
//!
//! The macros register every table, reducer and query, so that a test host
//! knows the modules that are linked into the test as the real host knows them
//! from their schema sections.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use std::borrow::ToOwned;

use interstice_abi::schema::ModuleSchema;

use crate::{
    encoding::{Decode, from_bytes},
    function::{Outcome, Sink},
};

/// A function's result in row layout: of `Ok` or `Err`.
pub(crate) type Reply = Result<Vec<u8>, Vec<u8>>;

/// An item of a module, as the macros register it.
pub struct Registration {
    /// The module's name.
    pub module: &'static str,
    /// The item's fragment of the schema section.
    pub fragment: &'static [u8],
    /// Name and code, for a reducer or query.
    pub function: Option<(&'static str, Code)>,
}

/// A function as the host calls it: bytes in, bytes out.
pub(crate) type Code = fn(&[u8]) -> Reply;

inventory::collect!(Registration);

/// A linked module.
pub(crate) struct Module {
    pub(crate) schema: ModuleSchema,
    pub(crate) functions: BTreeMap<&'static str, Code>,
}

/// All linked modules, by name.
pub(super) fn modules() -> BTreeMap<String, Module> {
    let mut sections = BTreeMap::<&str, (Vec<u8>, BTreeMap<_, _>)>::new();
    for item in inventory::iter::<Registration> {
        let (section, functions) = sections.entry(item.module).or_default();
        section.extend_from_slice(item.fragment);
        functions.extend(item.function);
    }
    let module = |(name, (section, functions)): (&str, (Vec<u8>, _))| {
        let schema = match ModuleSchema::decode(&section) {
            Ok(schema) => schema,
            Err(error) => panic!("the module `{name}` has no valid schema: {error}"),
        };
        (name.to_owned(), Module { schema, functions })
    };
    sections.into_iter().map(module).collect()
}

/// Runs a function as the host does: bytes in, bytes out.
pub fn run<A: Decode, R: Outcome>(args: &[u8], function: impl FnOnce(A) -> R) -> Reply {
    struct Keep<'a>(&'a mut Reply);

    impl Sink for Keep<'_> {
        fn ok(self, value: &[u8]) {
            *self.0 = Ok(value.to_vec());
        }

        fn err(self, error: &[u8]) {
            *self.0 = Err(error.to_vec());
        }
    }

    let mut reply = Ok(Vec::new());
    function(from_bytes(args)).send(Keep(&mut reply));
    reply
}

/// Registers an item of the schema.
#[doc(hidden)]
#[macro_export]
macro_rules! __schema {
    ($module:expr, $item:expr) => {
        $crate::__register!($module, $item, ::core::option::Option::None);
    };
}

/// Registers a reducer or query.
#[doc(hidden)]
#[macro_export]
macro_rules! __function {
    ($module:expr, $item:expr, $name:literal, $export:literal, $args:ty, $function:expr) => {
        $crate::__register!(
            $module,
            $item,
            ::core::option::Option::Some(($name, |args: &[u8]| {
                $crate::__private::run::<$args, _>(args, $function)
            }))
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __register {
    ($module:expr, $item:expr, $function:expr) => {
        const _: () = {
            use $crate::__private::section::{ItemDesc, fragment, fragment_len};
            const ITEM: ItemDesc = $item;
            const FRAGMENT: [u8; fragment_len($module, &ITEM)] = fragment($module, &ITEM);
            $crate::__private::inventory::submit! {
                $crate::__private::Registration {
                    module: $module,
                    fragment: &FRAGMENT,
                    function: $function,
                }
            }
        };
    };
}
