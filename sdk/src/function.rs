//! From the host's call to the module's function, and its result back.

use interstice_abi::{
    ids::NameId,
    schema::section::{CallDesc, TypeDesc},
};

use crate::{
    column::Column,
    context::ReducerContext,
    encoding::{Decode, Encode, with_encoded},
    host::{self, CallFailed},
    time::Timestamp,
};

/// Something that a reducer or query can return: a column type, `()`, or a
/// `Result` of these.
///
/// An `Err` rolls everything back that the reducer changed, and reaches the
/// caller with its type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a reducer or query",
    label = "not a column type",
    note = "they return nothing, a column type, or a `Result` of these",
    note = "column types are bool, u8 to u128, i8 to i128, f32, f64, Timestamp, String, Bytes, rows, and Option, Vec, structs and enums of them",
    note = "your own struct or enum becomes one with `#[derive(Column)]`"
)]
pub trait Outcome {
    #[doc(hidden)]
    const RETURNS: Option<TypeDesc>;
    #[doc(hidden)]
    const ERROR: Option<TypeDesc>;
    /// Whether what the function did is rolled back.
    #[doc(hidden)]
    fn is_err(&self) -> bool {
        false
    }
    /// Passes the result on: `sink` knows what to do with it.
    #[doc(hidden)]
    fn send(&self, sink: impl Sink);
}

/// Where a function's result goes, in row layout.
#[doc(hidden)]
pub trait Sink {
    fn ok(self, value: &[u8]);
    fn err(self, error: &[u8]);
}

/// What `Ok` holds: a column type or `()`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a reducer or query",
    label = "not a column type",
    note = "they return nothing, a column type, or a `Result` of these",
    note = "column types are bool, u8 to u128, i8 to i128, f32, f64, Timestamp, String, Bytes, rows, and Option, Vec, structs and enums of them",
    note = "your own struct or enum becomes one with `#[derive(Column)]`"
)]
pub trait Returned {
    const TYPE: Option<TypeDesc>;
    fn send(&self, sink: impl Sink);
}

// A function that returns nothing sends nothing: one host call less.
impl Returned for () {
    const TYPE: Option<TypeDesc> = None;
    #[inline]
    fn send(&self, _sink: impl Sink) {}
}

impl<T: Column> Returned for T {
    const TYPE: Option<TypeDesc> = Some(T::TYPE);
    #[inline]
    fn send(&self, sink: impl Sink) {
        with_encoded(self, |value| sink.ok(value));
    }
}

impl Outcome for () {
    const RETURNS: Option<TypeDesc> = None;
    const ERROR: Option<TypeDesc> = None;
    #[inline]
    fn send(&self, _sink: impl Sink) {}
}

impl<T: Column> Outcome for T {
    const RETURNS: Option<TypeDesc> = Some(T::TYPE);
    const ERROR: Option<TypeDesc> = None;
    #[inline]
    fn send(&self, sink: impl Sink) {
        Returned::send(self, sink);
    }
}

impl<T: Returned, E: Column> Outcome for Result<T, E> {
    const RETURNS: Option<TypeDesc> = T::TYPE;
    const ERROR: Option<TypeDesc> = Some(E::TYPE);

    fn is_err(&self) -> bool {
        self.is_err()
    }

    #[inline]
    fn send(&self, sink: impl Sink) {
        match self {
            Ok(value) => value.send(sink),
            Err(error) => with_encoded(error, |error| sink.err(error)),
        }
    }
}

/// A function of another module, imported with `import!`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function of another module",
    label = "not an imported reducer or query",
    note = "`calls(...)` takes functions that `import!` made, like `hello::greet`; functions of this module are called as plain Rust functions"
)]
pub trait External {
    const CALL: CallDesc;
}

/// A context whose function declares that it calls `F`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "this function does not declare that it calls `{F}`",
    label = "`{Self}` is declared without this call",
    note = "declare it in the attribute: `calls(...)` with the path that is called here, as in `#[reducer(calls(hello::greet))]`"
)]
pub trait MayCall<F> {}

/// Calls a function of another module; it has no error of its own.
///
/// # Safety
///
/// `R` is what a function with the signature in `F::CALL` returns.
#[doc(hidden)]
pub unsafe fn call<F: External, A: Encode, R: Received>(args: &A) -> R {
    // SAFETY: as above; and it returns no error.
    match unsafe { call_fallible::<F, A, R, Never>(args) } {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

/// Calls a function of another module that may return an error.
///
/// # Safety
///
/// `R` and `E` are what a function with the signature in `F::CALL` returns. The
/// host compares that signature with the function's when it installs the module.
#[doc(hidden)]
pub unsafe fn call_fallible<F: External, A: Encode, R: Received, E: Received>(
    args: &A,
) -> Result<R, E> {
    let target = NameId::of_external(F::CALL.module, F::CALL.function);
    match with_encoded(args, |args| host::call(target, args)) {
        Ok(len) => Ok(R::receive(len)),
        Err(CallFailed { error_len }) => Err(E::receive(error_len)),
    }
}

/// Something that a called function passes back. Not for the macros: who could
/// name it could receive what was passed back as anything.
#[doc(hidden)]
pub trait Received: Sized {
    fn receive(len: usize) -> Self;
}

impl Received for () {
    #[inline]
    fn receive(_len: usize) -> Self {}
}

impl<T: Decode> Received for T {
    fn receive(len: usize) -> Self {
        crate::encoding::from_bytes(&host::result_bytes(len))
    }
}

/// The error of a function that has none.
enum Never {}

impl Received for Never {
    fn receive(_len: usize) -> Self {
        crate::encoding::malformed()
    }
}

/// Schedules a reducer of this module.
#[doc(hidden)]
pub fn schedule<C: ReducerContext, A: Encode>(_ctx: &C, reducer: NameId, at: Timestamp, args: &A) {
    with_encoded(args, |args| host::schedule(reducer, args, at.micros()));
}
