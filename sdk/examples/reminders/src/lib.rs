#![no_std]
#![forbid(unsafe_code)]
//! Reminders: schedules, deletes, options and enums.
//!
//! A reminder rings at its time: `remind` schedules the reducer `ring`, and the
//! schedule is as durable as the row. One that repeats schedules itself again;
//! one that is cancelled is gone when its time comes, which `ring` finds out.

use interstice_sdk::prelude::*;

/// How often a reminder rings.
#[derive(Column, Clone, Debug, PartialEq)]
pub enum Repeat {
    /// Once.
    Never,
    /// Again and again, so many seconds apart.
    Every {
        /// Seconds.
        seconds: u32,
        /// How often it still rings, if not for ever.
        times: Option<u32>,
    },
}

/// Something to be reminded of.
#[table]
#[derive(Clone, Debug, PartialEq)]
pub struct Reminder {
    /// Counted by the host.
    #[key(auto)]
    pub id: u64,
    /// What it is about.
    pub text: String,
    /// When it rings next.
    pub due: Timestamp,
    /// How often.
    pub repeat: Repeat,
    /// Who is to be reminded; nobody in particular without it.
    pub person: Option<String>,
}

/// A reminder that has rung.
#[table]
#[derive(Clone, Debug, PartialEq)]
pub struct Bell {
    /// Counted by the host.
    #[key(auto)]
    pub id: u64,
    /// When it rang.
    pub at: Timestamp,
    /// What it said.
    pub text: String,
}

/// Makes a reminder, and returns its number.
#[reducer(inserts(Reminder))]
pub fn remind(
    ctx: &RemindContext,
    text: String,
    due: Timestamp,
    repeat: Repeat,
    person: Option<String>,
) -> Result<u64, String> {
    if let Repeat::Every { seconds: 0, .. } = repeat {
        return Err("it would never stop ringing".into());
    }
    let reminder = Reminder { id: 0, text, due, repeat, person };
    let id = ctx.reminder.insert(reminder)?.id;
    ring::schedule(ctx, due, id);
    Ok(id)
}

/// Rings, and schedules itself again if the reminder repeats.
#[reducer(writes(Reminder), inserts(Bell))]
pub fn ring(ctx: &RingContext, id: u64) -> Result<(), String> {
    // Cancelled in the meantime.
    let Some(reminder) = ctx.reminder.get(id) else { return Ok(()) };
    let text = match &reminder.person {
        Some(person) => format!("{person}: {}", reminder.text),
        None => reminder.text.clone(),
    };
    ctx.bell.insert(Bell { id: 0, at: ctx.now(), text })?;
    match next(&reminder) {
        Some(next) => {
            ring::schedule(ctx, next.due, id);
            ctx.reminder.upsert(next);
        }
        None => {
            ctx.reminder.delete(id);
        }
    }
    Ok(())
}

/// The reminder as it is after it has rung, if it rings again.
fn next(reminder: &Reminder) -> Option<Reminder> {
    let Repeat::Every { seconds, times } = reminder.repeat else { return None };
    let times = match times {
        None => None,
        Some(0 | 1) => return None,
        Some(times) => Some(times - 1),
    };
    let due = reminder.due + Duration::from_seconds(seconds.into());
    Some(Reminder { due, repeat: Repeat::Every { seconds, times }, ..reminder.clone() })
}

/// Takes a reminder back. Returns whether there was one.
#[reducer(deletes(Reminder))]
pub fn cancel(ctx: &CancelContext, id: u64) -> bool {
    ctx.reminder.delete(id)
}

/// Takes all reminders of a person back, and returns how many there were.
#[reducer(deletes(Reminder))]
pub fn forget(ctx: &ForgetContext, person: String) -> u64 {
    ctx.reminder.scan().filter(Reminder::person.eq(Some(person))).delete()
}

/// What rings before a time, or at all.
#[query(reads(Reminder))]
pub fn upcoming(ctx: &UpcomingContext, before: Option<Timestamp>) -> Vec<Reminder> {
    match before {
        Some(before) => ctx.reminder.scan().filter(Reminder::due.lt(before)).to_vec(),
        None => ctx.reminder.scan().to_vec(),
    }
}

#[cfg(test)]
mod tests;
