use interstice_sdk::testing::TestHost;

use super::*;

const NOON: Timestamp = Timestamp::from_micros(43_200_000_000);

fn bells(host: &TestHost) -> Vec<String> {
    host.rows::<Bell>().into_iter().map(|bell| bell.text).collect()
}

fn minutes(count: i64) -> Duration {
    Duration::from_minutes(count)
}

/// A host two minutes before noon.
fn host() -> TestHost {
    let mut host = TestHost::new();
    host.set_time(NOON - minutes(2));
    host
}

#[test]
fn a_reminder_rings_once_at_its_time() {
    let mut host = host();
    let person = Some("Ada".to_string());
    let id = host.call(|ctx| remind(ctx, "tea".into(), NOON, Repeat::Never, person));
    assert_eq!(id, Ok(1));
    host.advance(minutes(1));
    assert!(bells(&host).is_empty());
    assert_eq!(host.query(|ctx| upcoming(ctx, Some(NOON + minutes(1)))).len(), 1);
    host.advance(minutes(11));
    assert_eq!(bells(&host), ["Ada: tea"]);
    assert!(host.rows::<Reminder>().is_empty());
}

#[test]
fn one_that_repeats_rings_as_often_as_it_says() {
    let mut host = host();
    let repeat = Repeat::Every { seconds: 60, times: Some(3) };
    host.call(|ctx| remind(ctx, "stretch".into(), NOON, repeat, None)).unwrap();
    host.advance(minutes(3));
    assert_eq!(bells(&host).len(), 2);
    host.advance(minutes(60));
    assert_eq!(bells(&host), ["stretch"; 3]);
    let never = Repeat::Every { seconds: 0, times: None };
    assert!(host.call(|ctx| remind(ctx, "no".into(), NOON, never, None)).is_err());
}

#[test]
fn what_is_cancelled_does_not_ring() {
    let mut host = host();
    for person in ["Ada", "Ada", "Grace"] {
        let person = Some(person.to_string());
        host.call(|ctx| remind(ctx, "tea".into(), NOON, Repeat::Never, person)).unwrap();
    }
    assert!(host.call(|ctx| cancel(ctx, 3)));
    assert!(!host.call(|ctx| cancel(ctx, 3)));
    assert_eq!(host.call(|ctx| forget(ctx, "Ada".into())), 2);
    host.advance(minutes(3));
    assert!(bells(&host).is_empty());
}
