//! The suite: what Interstice promises, as tests.

mod replay;
