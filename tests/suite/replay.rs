//! Live state, replayed state and model are one.

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use interstice_tests::simulation::{self, Report};

const SEEDS: u64 = 1_000;
const STEPS: usize = 40;

#[test]
fn replay_equals_live_state_and_model_for_a_thousand_seeds() {
    if let Ok(seed) = env::var("INTERSTICE_SEED") {
        let seed = seed.parse().expect("INTERSTICE_SEED is a number");
        println!("{:?}", simulation::run(seed, STEPS));
        return;
    }
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let reports: Vec<Report> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                scope.spawn(|| {
                    let seeds = || Some(next.fetch_add(1, Ordering::Relaxed));
                    let seeds = std::iter::from_fn(seeds).take_while(|seed| *seed < SEEDS);
                    seeds.map(|seed| simulation::run(seed, STEPS)).collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no seed fails")).collect()
    });
    assert_eq!(reports.len() as u64, SEEDS);
    // A workload that never fails, or never gets anywhere, proves nothing.
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    assert!(sum(|report| report.commits) > 25 * SEEDS, "{reports:?}");
    assert!(sum(|report| report.failed) > SEEDS, "{reports:?}");
    assert!(sum(|report| report.failed_behind) > SEEDS / 2, "{reports:?}");
    assert!(sum(|report| report.reopened) > SEEDS / 2, "{reports:?}");
}
