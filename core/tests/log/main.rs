//! The log's format, held against a second implementation that is written from
//! `FORMAT.md` byte by byte.

mod reference;

mod commits;
mod frame_buffer;
mod frames;
mod headers;
mod memory_log;
mod next_good;
mod refused_commits;
mod segments;
mod tails;
