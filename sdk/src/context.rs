//! What a running function knows and may do.

use crate::{host, time::Timestamp};

/// The context of a reducer or a query.
///
/// `#[reducer]` and `#[query]` make one type per function: `GreetContext` for
/// `greet`. It has one [`Handle`](crate::Handle) per declared table.
pub trait Context: Sized {
    #[doc(hidden)]
    const FUNCTION: Function;

    #[doc(hidden)]
    fn __new() -> Self;

    /// The time of this transaction: the same at every look, and recorded in
    /// the log. Never earlier than that of an earlier transaction.
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(host::now())
    }

    /// The next number of this transaction's random sequence. Its seed is
    /// recorded in the log. Not for secrets: who can read the log knows it.
    fn random(&self) -> u64 {
        host::random()
    }
}

/// The context of a reducer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the context of a reducer",
    label = "only a reducer may do this",
    note = "queries only read: they cannot schedule reducers or call the reducers of other modules"
)]
pub trait ReducerContext: Context {}

/// The context of a query.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the context of a query",
    label = "expected a query's context"
)]
pub trait QueryContext: Context {}

/// Which function a context belongs to.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Function {
    pub module: &'static str,
    pub name: &'static str,
}
