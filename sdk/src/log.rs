//! Lines for the host's log.

use alloc::fmt::{Arguments, format};

use crate::host;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error = 0,
    /// Something is not as it should be.
    Warn = 1,
    /// Something that people want to know.
    Info = 2,
    /// Something that helps to find mistakes.
    Debug = 3,
    /// Everything else.
    Trace = 4,
}

/// Writes a line to the host's log.
#[doc(hidden)]
pub fn log(level: Level, text: Arguments<'_>) {
    match text.as_str() {
        // A plain text needs no formatting, and no code for it in the module.
        Some(text) => host::log(level, text),
        None => host::log(level, &format(text)),
    }
}

/// Logs that something failed; takes what `format!` takes.
///
/// The line is not part of the transaction: it stays when the call is rolled
/// back.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => {
        $crate::__private::log($crate::Level::Error, ::core::format_args!($($text)*))
    };
}

/// Logs that something is not as it should be; takes what `format!` takes.
///
/// The line is not part of the transaction: it stays when the call is rolled
/// back.
#[macro_export]
macro_rules! warn {
    ($($text:tt)*) => {
        $crate::__private::log($crate::Level::Warn, ::core::format_args!($($text)*))
    };
}

/// Logs something that people want to know; takes what `format!` takes.
///
/// The line is not part of the transaction: it stays when the call is rolled
/// back.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => {
        $crate::__private::log($crate::Level::Info, ::core::format_args!($($text)*))
    };
}

/// Logs something that helps to find mistakes; takes what `format!` takes.
///
/// The line is not part of the transaction: it stays when the call is rolled
/// back.
#[macro_export]
macro_rules! debug {
    ($($text:tt)*) => {
        $crate::__private::log($crate::Level::Debug, ::core::format_args!($($text)*))
    };
}

/// Logs everything else; takes what `format!` takes.
///
/// The line is not part of the transaction: it stays when the call is rolled
/// back.
#[macro_export]
macro_rules! trace {
    ($($text:tt)*) => {
        $crate::__private::log($crate::Level::Trace, ::core::format_args!($($text)*))
    };
}
