//! Errors that a host call returns to its guest: one list.
//!
//! A host call returns a negative number for a condition that a correct guest
//! can meet and handle. Everything else (an undeclared table, a malformed
//! row, a pointer outside memory, an exhausted budget) is not returned: it
//! traps, and the call is rolled back.

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// A condition that a host call reports to its guest.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(i32)]
        pub enum Errno {
            $($(#[$doc])* $name = $number,)*
        }

        impl Errno {
            /// Every error number, in order.
            pub const ALL: &'static [Errno] = &[$(Errno::$name,)*];

            /// The error number `code`, if the list has it.
            pub const fn from_code(code: i32) -> Option<Self> {
                match code {
                    $($number => Some(Errno::$name),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    /// The table already has a row with this primary key.
    DuplicateKey = -1,
    /// The table has no row with this primary key.
    NotFound = -2,
    /// The buffer is too small for the next row; nothing was written.
    BufferTooSmall = -3,
    /// The called function returned its error; its changes are rolled back.
    CalleeFailed = -4,
}

impl Errno {
    /// The number as it crosses the boundary. Always negative.
    pub const fn code(self) -> i32 {
        self as i32
    }
}
