//! The suite: what Interstice promises, as tests.

mod access;
mod calls;
mod canonical;
mod crash;
mod cycles;
mod damage;
mod hostile;
mod inputs;
mod modules;
mod reexecution;
mod replay;
mod schedules;
mod storage;
mod subscriptions;
mod upgrades;
