//! What the test host promises: that modules behave in it as in the real one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use interstice_sdk::{
    Level,
    prelude::*,
    testing::{self, LogLine, Scheduled, TestHost},
};

#[table]
#[derive(Clone, Debug, PartialEq)]
struct Account {
    #[key]
    owner: String,
    cents: i64,
}

#[table]
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    #[key(auto)]
    id: u32,
    text: String,
}

#[derive(Column, Debug, PartialEq)]
enum TransferError {
    NoAccount { owner: String },
    NotEnough,
}

#[reducer(inserts(Account), inserts(Entry))]
fn open(ctx: &OpenContext, owner: String, cents: i64) -> Result<(), String> {
    ctx.entry.insert(Entry { id: 0, text: "opening".into() })?;
    ctx.account.insert(Account { owner, cents })?;
    Ok(())
}

#[reducer(updates(Account))]
fn transfer(
    ctx: &TransferContext,
    from: String,
    to: String,
    cents: i64,
) -> Result<i64, TransferError> {
    let account = |owner: &String| {
        ctx.account.get(owner).ok_or_else(|| TransferError::NoAccount { owner: owner.clone() })
    };
    let mut payer = account(&from)?;
    payer.cents -= cents;
    let left = payer.cents;
    ctx.account.update(payer).map_err(|_| TransferError::NotEnough)?;
    let mut payee = account(&to)?;
    payee.cents += cents;
    ctx.account.update(payee).map_err(|_| TransferError::NotEnough)?;
    if left < 0 { Err(TransferError::NotEnough) } else { Ok(left) }
}

#[reducer(writes(Account))]
fn shuffle(ctx: &ShuffleContext) {
    let account = |cents| Account { owner: "temporary".into(), cents };
    ctx.account.upsert(account(1));
    ctx.account.upsert(account(2));
    ctx.account.delete("temporary");
    ctx.account.upsert(Account { owner: "Ada".into(), cents: 5 });
    ctx.account.upsert(Account { owner: "Ada".into(), cents: 6 });
}

#[reducer(on(insert(Account)), inserts(Entry))]
fn opened(ctx: &OpenedContext, account: Account) -> Result<(), String> {
    if account.cents < 0 {
        return Err("in debt from the beginning".into());
    }
    ctx.entry.insert(Entry { id: 0, text: format!("opened {}", account.owner) })?;
    Ok(())
}

#[reducer(on(update(Account)), inserts(Entry))]
fn changed(ctx: &ChangedContext, old: Account, new: Account) -> Result<(), String> {
    let text = format!("{}: {} -> {}", new.owner, old.cents, new.cents);
    ctx.entry.insert(Entry { id: 0, text })?;
    Ok(())
}

#[reducer(on(insert(Entry)))]
fn logged(_ctx: &LoggedContext, entry: Entry) {
    debug!("{}", entry.text);
}

#[reducer(on(init), inserts(Entry))]
fn begin(ctx: &BeginContext) -> Result<(), String> {
    ctx.entry.insert(Entry { id: 0, text: "init".into() })?;
    Ok(())
}

#[reducer(on(load), inserts(Entry))]
fn arrive(ctx: &ArriveContext) -> Result<(), String> {
    ctx.entry.insert(Entry { id: 0, text: "load".into() })?;
    Ok(())
}

#[reducer(inserts(Entry))]
fn remind(ctx: &RemindContext, text: String, times: u8) -> Result<(), String> {
    ctx.entry.insert(Entry { id: 0, text: format!("{text} at {}", ctx.now()) })?;
    if times > 1 {
        remind::schedule(ctx, ctx.now() + Duration::from_hours(1), text, times - 1);
    }
    Ok(())
}

#[reducer]
fn change_of_mind(ctx: &ChangeOfMindContext) -> Result<(), String> {
    remind::schedule(ctx, ctx.now(), "never".into(), 1);
    Err("no".into())
}

#[reducer]
fn doubt(ctx: &DoubtContext, at: Timestamp) {
    change_of_mind::schedule(ctx, at);
}

#[reducer(inserts(Entry))]
fn break_down(ctx: &BreakDownContext) {
    warn!("about to break");
    ctx.entry.insert(Entry { id: 0, text: "lost".into() }).unwrap();
    panic!("broken");
}

/// Wants to run again at once, for ever.
#[reducer(inserts(Entry))]
fn echo(ctx: &EchoContext, late: bool) -> Result<(), String> {
    let at = if late { Timestamp::from_date(1999, 1, 1) } else { ctx.now() };
    ctx.entry.insert(Entry { id: 0, text: format!("echo at {}", ctx.now()) })?;
    echo::schedule(ctx, at, late);
    Ok(())
}

#[table]
#[derive(Clone, Debug, PartialEq)]
struct Alarm {
    #[key]
    level: u8,
}

#[reducer(inserts(Alarm))]
fn alarm(ctx: &AlarmContext, level: u8) -> Result<(), String> {
    ctx.alarm.insert(Alarm { level })?;
    Ok(())
}

#[reducer(on(insert(Alarm)), inserts(Entry))]
fn alarmed_first(ctx: &AlarmedFirstContext, alarm: Alarm) {
    ctx.entry.insert(Entry { id: 0, text: "lost".into() }).unwrap();
    panic!("level {}", alarm.level);
}

#[reducer(on(insert(Alarm)), inserts(Entry))]
fn alarmed_second(ctx: &AlarmedSecondContext, alarm: Alarm) -> Result<(), String> {
    ctx.entry.insert(Entry { id: 0, text: format!("second saw {}", alarm.level) })?;
    Ok(())
}

#[query]
fn roll(ctx: &RollContext) -> Vec<u64> {
    vec![ctx.random(), ctx.random()]
}

fn texts(host: &TestHost) -> Vec<String> {
    host.rows::<Entry>().into_iter().map(|entry| entry.text).collect()
}

fn cents(host: &TestHost) -> Vec<i64> {
    host.rows::<Account>().iter().map(|account| account.cents).collect()
}

fn two_accounts() -> TestHost {
    let mut host = TestHost::new();
    host.insert(Account { owner: "Ada".into(), cents: 10 });
    host.insert(Account { owner: "Grace".into(), cents: 0 });
    host
}

#[test]
fn a_call_is_followed_by_its_subscriptions_in_order() {
    let mut host = TestHost::new();
    assert_eq!(host.call(|ctx| open(ctx, "Ada".into(), 3)), Ok(()));
    assert_eq!(texts(&host), ["opening", "opened Ada"]);
    let line = |text: &str| LogLine { level: Level::Debug, text: text.into() };
    assert_eq!(host.log(), [line("opening"), line("opened Ada")]);
}

#[test]
fn an_error_rolls_back_rows_and_numbers() {
    let mut host = two_accounts();
    assert!(host.call(|ctx| open(ctx, "Ada".into(), 1)).is_err());
    assert_eq!(texts(&host), Vec::<String>::new());
    assert_eq!(host.call(|ctx| open(ctx, "Bob".into(), 1)), Ok(()));
    assert_eq!(host.rows::<Entry>()[0].id, 1, "the rolled back number is given again");
}

#[test]
fn errors_reach_the_caller_with_their_type() {
    let mut host = two_accounts();
    let transfer_to = |host: &mut TestHost, to: &str, cents| {
        host.call(|ctx| transfer(ctx, "Ada".into(), to.into(), cents))
    };
    assert_eq!(transfer_to(&mut host, "Grace", 4), Ok(6));
    assert_eq!(transfer_to(&mut host, "Grace", 7), Err(TransferError::NotEnough));
    let nobody = TransferError::NoAccount { owner: "Bob".into() };
    assert_eq!(transfer_to(&mut host, "Bob", 1), Err(nobody));
    assert_eq!(cents(&host), [6, 4], "what failed has changed nothing");
    assert_eq!(texts(&host), ["Ada: 10 -> 6", "Grace: 0 -> 4"]);
}

#[test]
fn subscriptions_see_what_a_transaction_came_to() {
    let mut host = two_accounts();
    host.call(shuffle);
    assert_eq!(
        texts(&host),
        ["Ada: 10 -> 6"],
        "once per row, and not for a row that came and went"
    );
}

#[test]
fn a_failed_subscription_is_rolled_back_alone() {
    let mut host = TestHost::new();
    assert_eq!(host.call(|ctx| open(ctx, "Ada".into(), -1)), Ok(()));
    assert_eq!(cents(&host), [-1]);
    assert_eq!(host.failures(), ["interstice_sdk.opened: \"in debt from the beginning\""]);
}

#[test]
fn a_panic_rolls_back_and_reaches_the_test() {
    let mut host = TestHost::new();
    let broken = catch_unwind(AssertUnwindSafe(|| host.call(break_down)));
    assert!(broken.is_err());
    assert_eq!(texts(&host), Vec::<String>::new());
    assert_eq!(host.log().len(), 1, "log lines stay");
    assert_eq!(host.call(|ctx| open(ctx, "Ada".into(), 1)), Ok(()), "and the host goes on");
}

#[test]
fn init_and_load_run_at_installation() {
    let mut host = TestHost::new();
    host.install();
    assert_eq!(texts(&host), ["init", "load"]);
}

#[test]
fn scheduled_reducers_run_when_their_time_comes() {
    let mut host = TestHost::new();
    host.set_time(Timestamp::from_date(2024, 2, 29));
    host.call(|ctx| remind(ctx, "tea".into(), 3)).unwrap();
    assert_eq!(
        host.scheduled(),
        [Scheduled {
            at: Timestamp::from_date(2024, 2, 29) + Duration::from_hours(1),
            reducer: "remind".into(),
            args: "(text: \"tea\", times: 2)".into(),
        }]
    );
    host.advance(Duration::from_minutes(59));
    assert_eq!(texts(&host).len(), 1);
    host.advance(Duration::from_days(1));
    assert_eq!(
        texts(&host),
        [
            "tea at 2024-02-29T00:00:00Z",
            "tea at 2024-02-29T01:00:00Z",
            "tea at 2024-02-29T02:00:00Z",
        ]
    );
    assert!(host.scheduled().is_empty());
}

#[test]
fn a_schedule_is_rolled_back_with_its_transaction() {
    let mut host = TestHost::new();
    assert!(host.call(change_of_mind).is_err());
    assert!(host.scheduled().is_empty());
}

#[test]
fn random_numbers_follow_from_the_seed() {
    let mut host = TestHost::new();
    host.set_seed(7);
    let first = host.query(roll);
    assert_ne!(first[0], first[1]);
    assert_ne!(host.query(roll), first);
    host.set_seed(7);
    assert_eq!(host.query(roll), first);
}

#[test]
fn explicit_numbers_move_the_sequence_on() {
    let mut host = TestHost::new();
    assert_eq!(host.insert(Entry { id: 5, text: "five".into() }).id, 5);
    assert_eq!(host.insert(Entry { id: 0, text: "six".into() }).id, 6);
    assert_eq!(host.insert(Entry { id: 2, text: "two".into() }).id, 2);
    assert_eq!(host.insert(Entry { id: 0, text: "seven".into() }).id, 7);
}

macro_rules! last_numbers {
    ($($row:ident: $ty:ty;)*) => { $(
        #[table]
        #[derive(Debug, PartialEq)]
        struct $row {
            #[key(auto)]
            id: $ty,
        }
    )* };
}

last_numbers! {
    NumberU32: u32;
    NumberU64: u64;
    NumberI32: i32;
    NumberI64: i64;
}

/// The greatest number is given; behind it there is none. The message is that of
/// the real host.
macro_rules! numbers_end {
    ($row:ident, $ty:ty, $table:literal) => {
        let mut host = TestHost::new();
        assert_eq!(host.insert($row { id: <$ty>::MAX - 1 }).id, <$ty>::MAX - 1);
        assert_eq!(host.insert($row { id: 0 }).id, <$ty>::MAX);
        for _ in 0..2 {
            let inserted = catch_unwind(AssertUnwindSafe(|| host.insert($row { id: 0 })));
            let message = *inserted.unwrap_err().downcast::<String>().unwrap();
            let expected =
                concat!("the auto-increment column of table `", $table, "` has no number left");
            assert_eq!(message, expected);
        }
        assert_eq!(host.insert($row { id: 5 }).id, 5, "explicit numbers are possible");
        assert_eq!(host.rows::<$row>().len(), 3);
    };
}

#[test]
fn a_used_up_sequence_stops_the_call() {
    numbers_end!(NumberU32, u32, "number_u32");
    numbers_end!(NumberU64, u64, "number_u64");
    numbers_end!(NumberI32, i32, "number_i32");
    numbers_end!(NumberI64, i64, "number_i64");
}

#[test]
fn negative_numbers_do_not_move_the_sequence() {
    let mut host = TestHost::new();
    assert_eq!(host.insert(NumberI32 { id: -1 }).id, -1);
    assert_eq!(host.insert(NumberI32 { id: 0 }).id, 1);
    assert_eq!(host.insert(NumberI64 { id: i64::MIN }).id, i64::MIN);
    assert_eq!(host.insert(NumberI64 { id: 0 }).id, 1);
}

#[test]
fn what_is_scheduled_for_now_waits_for_the_next_round() {
    for late in [false, true] {
        let mut host = TestHost::new();
        let start = Timestamp::from_date(2024, 2, 29);
        host.set_time(start);
        host.call(|ctx| echo(ctx, late)).unwrap();
        host.advance(Duration::from_hours(1));
        assert_eq!(texts(&host), [format!("echo at {start}"), format!("echo at {start}")]);
        assert_eq!(host.scheduled().len(), 1, "it waits");
        host.advance(Duration::from_seconds(0));
        let later = start + Duration::from_hours(1);
        assert_eq!(texts(&host).last(), Some(&format!("echo at {later}")));
        assert_eq!(texts(&host).len(), 3);
    }
}

#[test]
fn what_waits_runs_with_what_is_due_next() {
    let mut host = TestHost::new();
    let start = Timestamp::from_date(2024, 2, 29);
    host.set_time(start);
    host.call(|ctx| echo(ctx, false)).unwrap();
    host.call(|ctx| remind(ctx, "tea".into(), 2)).unwrap();
    host.advance(Duration::from_hours(2));
    let later = start + Duration::from_hours(1);
    let ran = ["echo", "tea", "echo", "echo", "tea"];
    let times = [start, start, start, later, later];
    let expected = ran.iter().zip(times).map(|(text, time)| format!("{text} at {time}"));
    assert_eq!(texts(&host), expected.collect::<Vec<_>>());
}

#[test]
fn time_does_not_go_back_behind_a_transaction() {
    let mut host = TestHost::new();
    let (early, late) = (Timestamp::from_date(2019, 1, 1), Timestamp::from_date(2024, 2, 29));
    host.set_time(late);
    host.set_time(early);
    host.call(|ctx| remind(ctx, "tea".into(), 1)).unwrap();
    host.set_time(late);
    host.call(|ctx| remind(ctx, "tea".into(), 1)).unwrap();
    host.set_time(early);
    host.call(|ctx| remind(ctx, "tea".into(), 1)).unwrap();
    let at = |time| format!("tea at {time}");
    assert_eq!(texts(&host), [at(early), at(late), at(late)]);
}

#[test]
fn the_time_of_a_failure_counts_where_it_is_recorded() {
    let mut host = TestHost::new();
    let (early, late) = (Timestamp::from_date(2019, 1, 1), Timestamp::from_date(2024, 2, 29));
    host.set_time(late);
    assert!(host.call(change_of_mind).is_err());
    host.set_time(early);
    host.call(|ctx| doubt(ctx, late));
    assert_eq!(host.scheduled()[0].at, late);
    host.call(|ctx| remind(ctx, "tea".into(), 1)).unwrap();
    host.advance(late - early);
    assert_eq!(host.failures(), ["interstice_sdk.change_of_mind: \"no\""]);
    host.set_time(early);
    host.call(|ctx| remind(ctx, "tea".into(), 1)).unwrap();
    assert_eq!(texts(&host), [format!("tea at {early}"), format!("tea at {late}")]);
}

#[test]
fn a_panic_of_a_subscription_ends_that_one_alone() {
    let mut host = TestHost::new();
    assert_eq!(host.call(|ctx| alarm(ctx, 3)), Ok(()));
    assert_eq!(host.failures(), ["interstice_sdk.alarmed_first: it panicked: level 3"]);
    assert_eq!(texts(&host), ["second saw 3"], "the first left nothing, the second has run");
    assert_eq!(host.call(|ctx| alarm(ctx, 4)), Ok(()), "and the host goes on");
    assert_eq!(texts(&host), ["second saw 3", "second saw 4"]);
}

#[test]
fn hosts_do_not_share_anything() {
    let (mut one, mut other) = (TestHost::new(), two_accounts());
    one.call(|ctx| open(ctx, "Bob".into(), 1)).unwrap();
    assert_eq!(cents(&one), [1]);
    assert_eq!(cents(&other), [10, 0]);
    other.call(|ctx| open(ctx, "Bob".into(), 2)).unwrap();
    assert_eq!(cents(&one), [1]);
}

#[test]
#[should_panic = "there is no host here"]
fn a_module_without_a_host_says_what_is_missing() {
    info!("hello");
}

#[test]
fn the_schema_is_the_one_of_the_section() {
    let schema = testing::schema("interstice_sdk");
    let transfer = schema.reducer("transfer").unwrap();
    assert_eq!(transfer.params.len(), 3);
    assert_eq!(transfer.error.as_ref().unwrap().to_string(), "TransferError");
    assert_eq!(schema.table("entry").unwrap().auto_increment, Some(0));
    // Declared twice with different words: once in the schema.
    let open = schema.reducer("open").unwrap();
    assert_eq!(open.access.len(), 2);
}
