//! One wrong bit, wherever a device may be: behind restarts, behind and within
//! snapshots of several pages, with a page opened and nothing in it.

use interstice_embedded::mock_flash::{ERASE_UNITS, MockFlash, Tear};

use crate::{
    damage::{Verdict, verdict},
    driver::{HEADER, Log, State, append, commit, open, replay, setting, snapshot},
};

const PAGE: usize = 512;
const HEADER_BYTES: u64 = 96;

type Flash = MockFlash<4, PAGE>;

/// A region, and the acknowledged commits that it holds.
#[derive(Clone)]
struct Scene {
    name: String,
    /// Where the mark may be that alone says whether the newest commit is there.
    hangs_by: Vec<usize>,
    image: Vec<u8>,
    good: State,
}

impl Scene {
    fn new(name: String, image: &[u8], good: State) -> Self {
        Self { name, hangs_by: Vec::new(), image: image.to_vec(), good }
    }
}

/// A device at work, with snapshots of a certain length.
struct Work {
    log: Log<Flash>,
    state: State,
    snapshot_len: usize,
}

impl Work {
    fn new(pages: usize, snapshot_len: usize) -> Self {
        let log = Log::format(Flash::new(pages), HEADER).unwrap();
        Self { log, state: State::EMPTY, snapshot_len }
    }

    fn append(&mut self, commits: u64) {
        for _ in 0..commits {
            let commit = commit(self.state.commits, 0, true);
            append(&mut self.log, &mut self.state, &commit, self.snapshot_len).unwrap();
        }
    }

    fn restart(self) -> Self {
        let (log, state) = open(self.log.into_flash(), self.snapshot_len).unwrap();
        assert_eq!(state, self.state);
        Self { log, ..self }
    }

    fn scene(&mut self, name: String) -> Scene {
        Scene::new(name, self.log.flash().image(), self.state)
    }

    /// With the page of the next commit opened, and power cut before the commit is
    /// programmed. `None`: it needs no page.
    fn bare_header(&self, name: String) -> Option<Scene> {
        let (mut log, mut state) = (self.log.clone(), self.state);
        log.flash().cut_after(ERASE_UNITS + HEADER_BYTES, Tear::InOrder, 0);
        let commit = commit(state.commits, 0, true);
        let _ = append(&mut log, &mut state, &commit, self.snapshot_len);
        let is_off = log.flash().is_off();
        let image = log.flash().image().to_vec();
        is_off.then(|| Scene::new(name, &image, self.state))
    }

    /// Behind a mount that has settled a last record that was cut short very late.
    /// `None`: it needs a page, or is not seen.
    fn settled(&self, name: String, seed: u64) -> Option<Scene> {
        let append = |log: &mut Log<Flash>| {
            let mut state = self.state;
            let commit = commit(state.commits, 0, true);
            append(log, &mut state, &commit, self.snapshot_len)
        };
        let mut whole = self.log.clone();
        let before = whole.flash().counters.clone();
        append(&mut whole).ok()?;
        let after = &whole.flash().counters;
        if after.programs != before.programs + 1 {
            return None;
        }
        let units = after.bytes_programmed - before.bytes_programmed;
        let mut log = self.log.clone();
        log.flash().cut_after(units - 1, Tear::Late, seed);
        let _ = append(&mut log);
        let mut flash = log.into_flash();
        flash.power_on();
        let mut log = Log::mount(flash).ok()?.0;
        let good = replay(&mut log).ok()?;
        // Where there was no page to repeat the record in, a snapshot is taken.
        let has_snapshot = log.needs_snapshot();
        if has_snapshot {
            snapshot(&mut log, &good, self.snapshot_len).unwrap();
        }
        let image = log.flash().image();
        let is_mark = |at: &usize| has_snapshot && image[*at..].starts_with(&[0, 0xa0, 0x0e, 0]);
        let hangs_by = (0..image.len()).filter(is_mark).collect();
        Some(Scene { hangs_by, ..Scene::new(name, image, good) })
    }

    /// With some of a snapshot written.
    fn half_a_snapshot(&self, name: String, bytes: usize) -> Option<Scene> {
        let mut log = self.log.clone();
        log.begin_snapshot().ok()?;
        log.write_snapshot(&self.state.encode(self.snapshot_len)[..bytes]).ok()?;
        Some(Scene::new(name, log.flash().image(), self.state))
    }
}

/// What a device comes through, one commit after the other: as it is; behind a
/// restart, and a few commits more; with a page opened, or half a snapshot written,
/// and nothing behind it.
fn scenes(pages: usize, snapshot_len: usize, commits: u64) -> Vec<Scene> {
    let mut scenes = Vec::new();
    let mut work = Work::new(pages, snapshot_len);
    for done in 0..commits {
        let name = |what: &str| format!("{pages} pages, {done} commits, {what}");
        let clone = || Work { log: work.log.clone(), ..work };
        scenes.push(clone().scene(name("running")));
        scenes.extend(work.bare_header(name("a bare header")));
        for bytes in [90, snapshot_len - 1] {
            scenes.extend(work.half_a_snapshot(name("half a snapshot"), bytes));
        }
        scenes.extend((0..3).filter_map(|seed| work.settled(name("settled"), seed)));
        let mut restarted = clone().restart();
        scenes.push(Work { log: restarted.log.clone(), ..restarted }.scene(name("restarted")));
        restarted.append(1 + done % 5);
        scenes.push(Work { log: restarted.log.clone(), ..restarted }.scene(name("going on")));
        scenes.extend(restarted.bare_header(name("going on to a bare header")));
        scenes.push(restarted.restart().scene(name("restarted twice")));
        work.append(1);
    }
    scenes
}

#[test]
fn one_wrong_bit_anywhere_leaves_the_same_state_or_is_located() {
    // Every so many bits, from another one in each scene.
    let step = setting("INTERSTICE_FLASH_BIT_STEP", 61) as usize;
    let mut located = 0;
    let all = [scenes(4, 450, 60), scenes(8, 900, 110), scenes(2, 110, 30)].concat();
    for (number, scene) in all.iter().enumerate() {
        let verdict = |image: &[u8], bit: Option<usize>| {
            verdict(image, scene.good, || format!("{}, bit {bit:?}", scene.name))
        };
        assert_eq!(verdict(&scene.image, None), Verdict::Same, "{}", scene.name);
        for bit in (number % step..scene.image.len() * 8).step_by(step) {
            if scene.hangs_by.iter().any(|mark| (*mark..mark + 8).contains(&(bit / 8))) {
                continue;
            }
            let mut bad = scene.image.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            match verdict(&bad, Some(bit)) {
                Verdict::Same => {}
                Verdict::Located => located += 1,
                Verdict::ReportedTorn => panic!("{}, bit {bit}: lost", scene.name),
            }
        }
    }
    println!("{} scenes, {located} located", all.len());
    assert!(located > 10_000, "{located}");
}
