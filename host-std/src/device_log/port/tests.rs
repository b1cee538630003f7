use std::collections::VecDeque;

use super::*;

/// A device: what it sends, each so many seconds after what was before. Behind that
/// it is silent.
#[derive(Default)]
struct Stub {
    comes: VecDeque<(u64, Vec<u8>)>,
    /// What comes in answer to each request.
    answers: VecDeque<Vec<(u64, Vec<u8>)>>,
    now: Duration,
    asked: usize,
    heard: usize,
}

impl Stub {
    /// What it answers to one request after the other.
    fn answering(answers: &[&[(u64, &str)]]) -> Self {
        let one = |answer: &&[(u64, &str)]| {
            answer.iter().map(|(after, text)| (*after, text.as_bytes().to_vec())).collect()
        };
        Self { answers: answers.iter().map(one).collect(), ..Self::default() }
    }

    fn ask(&mut self) -> Answer {
        ask(self, |_| ()).unwrap()
    }
}

impl Port for Stub {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(bytes, b"\nlog\n");
        self.asked += 1;
        self.comes.extend(self.answers.pop_front().unwrap_or_default());
        Ok(())
    }

    fn hear(&mut self, wait: Duration) -> io::Result<Heard> {
        self.heard += 1;
        assert!(self.heard < 100_000, "it waits for ever");
        let Some((after, bytes)) = self.comes.pop_front() else {
            self.now += wait;
            return Ok(Heard::Nothing);
        };
        let after = Duration::from_secs(after);
        if after > wait {
            self.now += wait;
            self.comes.push_front(((after - wait).as_secs(), bytes));
            return Ok(Heard::Nothing);
        }
        self.now += after;
        Ok(Heard::Bytes(bytes))
    }

    fn now(&self) -> Duration {
        self.now
    }
}

const LOG: &str = "log 3 4096\ndata 0 00000000 AAAA\nend 00000000\n";
const UNKNOWN: &str = "err commands are r, status\n";

fn log(text: &str) -> Answer {
    Answer::Log(text.as_bytes().to_vec())
}

#[test]
fn a_log_is_heard_from_its_first_line_to_its_last_and_no_further() {
    let mut stub = Stub::answering(&[&[
        (0, "log 3 4096\nda"),
        (1, "ta 0 00000000 AAAA\nend 0"),
        (1, "0000000\n"),
        (0, "led on 5\n"),
    ]]);
    assert_eq!(stub.ask(), log(LOG));
    assert_eq!(stub.comes.len(), 1, "what comes behind it is left");
    // The line before was not empty, or was: the device does not know it.
    assert_eq!(Stub::answering(&[&[(0, UNKNOWN), (1, LOG)]]).ask(), log(LOG));
}

#[test]
fn what_stands_before_the_log_is_dropped_however_much_it_is() {
    // A transfer that was not heard out, longer than any wait, and other talk.
    let mut rest: Vec<(u64, String)> =
        (0..1_500).map(|at| (1, format!("data {} 00000000 AAAA\n", at * 3))).collect();
    rest.push((1, "end 00000000\nled off 7\n".into()));
    rest.push((1, format!("{UNKNOWN}{LOG}")));
    let mut stub = Stub::default();
    stub.answers.push_back(rest.into_iter().map(|(s, text)| (s, text.into_bytes())).collect());
    assert_eq!(stub.ask(), log(LOG));
    assert_eq!(stub.asked, 1);
    // A line without an end costs no memory.
    let mut hearing = Hearing::default();
    for _ in 0..100 {
        hearing.take(&[b'x'; 4096], Duration::ZERO);
    }
    assert!(hearing.line.len() < LINE_MAX + 4096);
    // Nor does one in the log.
    hearing.take(b"\nlog 3 4096\n", Duration::ZERO);
    for _ in 0..100 {
        hearing.take(&[b'x'; 4096], Duration::ZERO);
    }
    assert!(hearing.line.len() < LINE_MAX + 4096);
    hearing.take(b"\nend 00000000\n", Duration::ZERO);
    assert!(hearing.is_over);
    assert!(hearing.log.is_some_and(|log| log.ends_with(b"x\nend 00000000\n")));
}

#[test]
fn the_end_of_a_transfer_before_is_no_place_in_it() {
    // Its checksum reads as a number, which is higher than the places of the next one.
    let rest = "data 768 00000000 AAAA\nend 99999999\n";
    let next: Vec<(u64, &str)> = vec![(8, "data 1536 00000000 AAAA\n"), (8, LOG)];
    assert_eq!(Stub::answering(&[&[&[(0, rest)], &next[..]].concat()]).ask(), log(LOG));
}

#[test]
fn refusals_of_other_lines_do_not_end_it() {
    // One that was on its way, and one for the empty line.
    let stale = format!("{UNKNOWN}{UNKNOWN}");
    assert_eq!(Stub::answering(&[&[(0, &stale), (1, LOG)]]).ask(), log(LOG));
}

#[test]
fn a_device_that_refuses_is_not_waited_for_long() {
    let refused = &[(0, UNKNOWN), (0, UNKNOWN)][..];
    let mut stub = Stub::answering(&[refused, refused]);
    assert_eq!(stub.ask(), Answer::Refused("commands are r, status".into()));
    assert_eq!((stub.asked, stub.now), (2, 2 * REFUSED_WAIT));
    // The flash fails in the middle.
    let failed = "log 3 4096\nerr flash cannot be read at 0\n";
    assert_eq!(Stub::answering(&[&[(0, failed)]]).ask(), log(failed));
}

#[test]
fn a_request_that_is_lost_is_repeated_once() {
    let mut stub = Stub::answering(&[&[], &[(1, LOG)]]);
    assert_eq!((stub.ask(), stub.asked), (log(LOG), 2));
    // It was damaged, so that the device refused it.
    let mut stub = Stub::answering(&[&[(0, UNKNOWN), (0, UNKNOWN)], &[(1, LOG)]]);
    assert_eq!((stub.ask(), stub.asked), (log(LOG), 2));
    // Only its second line was lost.
    let mut stub = Stub::answering(&[&[(0, UNKNOWN)], &[(0, UNKNOWN), (1, LOG)]]);
    assert_eq!((stub.ask(), stub.asked), (log(LOG), 2));
    // The first line of the log was damaged.
    let damaged = LOG.replace("log ", "lo? ");
    let mut stub = Stub::answering(&[&[(0, &damaged)], &[(0, LOG)]]);
    assert_eq!((stub.ask(), stub.asked), (log(LOG), 2));
    // There is nobody.
    let mut stub = Stub::default();
    assert_eq!((stub.ask(), stub.asked), (Answer::Nothing, 2));
    assert_eq!(stub.now, 2 * ANSWER_WAIT);
}

#[test]
fn what_goes_on_without_the_line_that_is_waited_for_ends() {
    // Talk without end, and no log.
    let talk: Vec<(u64, &str)> = vec![(1, "temperature 20\n"); 1_000];
    let mut stub = Stub::answering(&[&talk]);
    assert_eq!(stub.ask(), Answer::Other);
    assert_eq!(stub.now, 2 * ANSWER_WAIT);
    // The last line was damaged, and the device talks on.
    let damaged = LOG.replace("end ", "en? ");
    let mut comes = vec![(0, damaged.as_str())];
    comes.extend(&talk);
    let mut stub = Stub::answering(&[&comes]);
    let Answer::Log(came) = stub.ask() else { panic!("the log has begun") };
    assert!(came.starts_with(damaged.as_bytes()));
    assert_eq!((stub.asked, stub.now), (1, LINE_WAIT));
    // The line went dead in the middle of a line.
    let cut = &LOG[..20];
    assert_eq!(Stub::answering(&[&[(0, cut)]]).ask(), log(cut));
}
