//! Modules on a device: the log in flash, power cuts, and the same history as
//! anywhere else.

use interstice_core::{Limits, Timestamp, TxOffset};
use interstice_embedded::{
    Device, FlashLog,
    device::{OpenError, replay},
    mock_flash::{MockFlash, Tear},
};
use interstice_tests::{
    Fixture, Guest,
    fixture::{HEADER, at},
    guest::{on_insert, script},
    properties::assert_same,
    random::Random,
};

use crate::modules::{
    args, delete, insert, insert_into, on_row, schedule, script as script_of, scripted, update,
};

/// Bytes of the record buffer.
const RECORD: usize = 128;

type Flash = MockFlash<4, 1024>;
type Station<'a> = Device<&'a mut Flash, RECORD>;

fn guest() -> Guest {
    scripted("m", &[]).reducer(on_row("on_note", "Note").on(on_insert("note")), &script::run_row())
}

fn open<'a>(flash: &'a mut Flash, wasm: &[u8]) -> Result<Station<'a>, OpenError> {
    Device::open(flash, &Limits::default(), &[wasm]).map(|(device, _)| device)
}

/// The arguments of a call of `m.run`.
fn a_call(random: &mut Random, step: u64, time: i64) -> Vec<u8> {
    let id = random.below(12);
    let data = random.bytes(6);
    let op = match random.below(8) {
        0..=2 => insert(100 + step % 20, &data),
        3 => insert(id, &data),
        4 => update(id, &data),
        5 => delete(100 + random.below(20)),
        6 => insert_into("note", 0, &script_of(&[insert(1_000 + step % 9, &data)])),
        _ => schedule(time + 50, &[insert(2_000 + step % 5, &data)]),
    };
    args(&[op])
}

#[test]
fn a_device_has_the_history_of_a_desktop_whatever_its_power_does() {
    let tears = [Tear::InOrder, Tear::AnySubset, Tear::Unstable];
    let (mut cuts, mut begun) = (0, 0);
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let guest = guest();
        let wasm = guest.wasm();
        let mut flash = Flash::new(12);
        FlashLog::<_, RECORD>::format(&mut flash, HEADER).unwrap();
        let mut desk = Fixture::new();
        desk.install(&guest).unwrap();
        open(&mut flash, &wasm).unwrap().runtime().install(&wasm, at(1)).unwrap();
        let mut time = 1_000;
        for step in 0..120 {
            time += random.below(30) as i64;
            let before = desk.state().next_offset();
            let payload = a_call(&mut random, step, time);
            let on_desk = desk.call_at("m.run", &payload, at(time));
            if random.chance(30) {
                flash.cut_after(random.below(500), *random.pick(&tears), random.number());
            }
            // A power cut, and the same once more with what it has left.
            for attempt in 0..2 {
                let begun_there = call_on_device(&mut flash, &wasm, &payload, time, before);
                let Some(called) = begun_there else {
                    assert!(flash.is_off() && attempt == 0, "seed {seed}, step {step}");
                    flash.power_on();
                    cuts += 1;
                    let (mut log, _) = FlashLog::<_, RECORD>::mount(flash.clone()).unwrap();
                    let found = replay(&mut log, &Limits::default()).unwrap();
                    let position = found.next_offset();
                    assert!(before <= position && position <= desk.state().next_offset());
                    begun += u32::from(position > before);
                    assert_same(&found, desk.cut(position.0 as usize).state());
                    continue;
                };
                assert_eq!(called.is_ok(), on_desk.is_ok(), "seed {seed}, step {step}");
                break;
            }
            flash.power_on();
            assert_same(open(&mut flash, &wasm).unwrap().state(), desk.state());
        }
        assert!(flash.counters.erases.iter().sum::<u64>() > 36, "three wraps");
        assert_eq!(flash.counters.words_programmed_twice, 0);
    }
    assert!(cuts > 300, "{cuts}");
    assert!(begun > 5, "{begun}");
}

/// Opens a device, and makes a call that begins at `before`, unless that is
/// there. `None` when power went.
fn call_on_device(
    flash: &mut Flash,
    wasm: &[u8],
    payload: &[u8],
    time: i64,
    before: TxOffset,
) -> Option<Result<(), ()>> {
    let mut device = match open(flash, wasm) {
        Ok(device) => device,
        Err(error) => {
            assert!(flash.is_off(), "{error}");
            return None;
        }
    };
    if device.state().next_offset() > before {
        return Some(Ok(()));
    }
    let target = device.runtime().reducer("m", "run").unwrap();
    let called = device.runtime().call(target, payload, at(time));
    if device.runtime().log_mut().flash().is_off() {
        return None;
    }
    Some(called.map(drop).map_err(drop))
}

#[test]
fn a_snapshot_in_many_small_steps_delays_no_call_and_loses_nothing() {
    let guest = guest();
    let wasm = guest.wasm();
    let mut flash = Flash::new(24);
    FlashLog::<_, RECORD>::format(&mut flash, HEADER).unwrap();
    let mut desk = Fixture::new();
    desk.install(&guest).unwrap();
    let mut device = open(&mut flash, &wasm).unwrap();
    device.runtime().install(&wasm, at(1)).unwrap();
    let target = device.runtime().reducer("m", "run").unwrap();
    let mut random = Random::new(5);
    let (mut steps, mut most) = (0u32, 0);
    for step in 0..600 {
        let time = 1_000 + step as i64;
        let payload = a_call(&mut random, step, time);
        let on_desk = desk.call_at("m.run", &payload, at(time));
        let before = device.runtime().log_mut().flash().counters.programs;
        let called = device.runtime().call(target, &payload, at(time));
        most = most.max(device.runtime().log_mut().flash().counters.programs - before);
        assert_eq!(called.is_ok(), on_desk.is_ok(), "{called:?}, not {on_desk:?}");
        desk.runtime.run_due(at(time)).unwrap();
        device.run_due(Timestamp(time)).unwrap();
        // There is always time to do nothing.
        while device.idle(64).unwrap() {
            steps += 1;
        }
    }
    assert!(steps > 50, "{steps}");
    assert!(most <= 8, "no call has written a snapshot: {most} programs");
    device.close().unwrap();
    assert_same(device.state(), desk.state());
    let programs = flash.counters.programs;
    assert_same(open(&mut flash, &wasm).unwrap().state(), desk.state());
    assert_eq!(flash.counters.programs, programs, "a marked log is mounted without writing");
}
