//! The suite: what Interstice promises, as tests.

mod calls;
mod crash;
mod damage;
mod hostile;
mod modules;
mod replay;
mod subscriptions;
