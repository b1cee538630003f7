//! The system's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use interstice_core::Timestamp;

/// The time of the system; 1970 where its clock is before that.
pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}
