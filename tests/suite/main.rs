//! The suite: what Interstice promises, as tests.

mod access;
mod bombs;
mod calls;
mod canonical;
mod crash;
mod cycles;
mod damage;
mod disk;
mod examples;
mod files;
mod golden;
mod hermetic;
mod host_stack;
mod hostile;
mod inputs;
mod loading;
mod modules;
mod pointers;
mod reexecution;
mod replay;
mod schedules;
mod snapshots;
mod storage;
mod subscriptions;
mod upgrades;
mod watch;
