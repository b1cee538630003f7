//! Interstice on desktops and servers.
#![forbid(unsafe_code)]

pub mod build;
pub mod cli;
pub mod data_dir;
pub mod feed;
pub mod file_log;
pub mod node;
pub mod text;

pub use interstice_core as core;
