#![no_std]
//! Greets people and remembers them: the smallest module.

use interstice_sdk::prelude::*;

/// Somebody who was greeted.
#[table]
#[derive(Clone, Debug, PartialEq)]
pub struct Greeting {
    /// Counted by the host.
    #[key(auto)]
    pub id: u64,
    /// Who it was.
    pub name: String,
}

/// Greets somebody, and returns the greeting's number.
#[reducer(inserts(Greeting))]
pub fn greet(ctx: &GreetContext, name: String) -> Result<u64, String> {
    if name.is_empty() {
        return Err("who is there?".into());
    }
    let greeting = ctx.greeting.insert(Greeting { id: 0, name })?;
    Ok(greeting.id)
}

/// How many people were greeted.
#[query(reads(Greeting))]
pub fn count(ctx: &CountContext) -> u64 {
    ctx.greeting.count()
}

/// The latest greetings, the newest first.
#[query(reads(Greeting))]
pub fn latest(ctx: &LatestContext, limit: u32) -> Vec<Greeting> {
    ctx.greeting.scan().rev().limit(limit).to_vec()
}

#[cfg(test)]
mod tests {
    use interstice_sdk::testing::TestHost;

    use super::*;

    #[test]
    fn people_are_greeted_in_order() {
        let mut host = TestHost::new();
        assert_eq!(host.call(|ctx| greet(ctx, "Ada".into())), Ok(1));
        assert_eq!(host.call(|ctx| greet(ctx, "Grace".into())), Ok(2));
        assert_eq!(host.query(count), 2);
        assert_eq!(host.query(|ctx| latest(ctx, 1)), [Greeting { id: 2, name: "Grace".into() }]);
    }

    #[test]
    fn nobody_is_not_greeted() {
        let mut host = TestHost::new();
        assert!(host.call(|ctx| greet(ctx, String::new())).is_err());
        assert!(host.rows::<Greeting>().is_empty());
    }
}
