//! Which files are segments, and which are refused.

use super::*;

#[test]
fn a_segments_name_is_its_position_in_twenty_digits() {
    let name = |position| format!("{position:020}.log");
    for position in [0, 7, 1 << 40, u64::MAX] {
        let path = segment_path(Path::new("dir"), TxOffset(position));
        assert_eq!(path, Path::new("dir").join(name(position)));
        assert_eq!(position_of(&name(position), ".log"), Some(TxOffset(position)));
    }
    for other in [
        "7.log",
        "+0000000000000000007.log",
        "000000000000000000007.log",
        "99999999999999999999.log",
        "00000000000000000007.tmp",
        "00000000000000000007",
        ".log",
    ] {
        assert_eq!(position_of(other, ".log"), None, "{other}");
    }
}

#[test]
fn files_that_are_no_segments_are_left_alone() {
    let fixture = Fixture::with(1 << 20, &[b"one"]);
    for name in ["notes.txt", "00000000000000000009.tmp", "log"] {
        fs::write(fixture.dir().join(name), b"anything").unwrap();
    }
    let found = segments(&*fixture.files, fixture.dir()).unwrap();
    let path = segment_path(fixture.dir(), TxOffset(0));
    let len = fs::metadata(&path).unwrap().len();
    assert_eq!(found, [SegmentFile { path, header: HEADER.first_segment(), len }]);
}

#[test]
fn a_name_in_another_form_is_refused() {
    let fixture = Fixture::with(1 << 20, &[b"one"]);
    let path = segment_path(fixture.dir(), TxOffset(0));
    fs::rename(path, fixture.dir().join("0.log")).unwrap();
    let renamed = "was renamed: its first commit is 0, which its name does not say";
    assert_eq!(fixture.error(), format!("the log's segment 0.log {renamed}"));
}

#[test]
fn an_empty_file_is_a_segment_that_is_lost() {
    // One is written whole before it has its name: no crash leaves this.
    for first in 0..3 {
        let fixture = Fixture::with(HEADER_LEN as u64, &[b"one", b"two", b"three"]);
        fs::write(segment_path(fixture.dir(), TxOffset(first)), b"").unwrap();
        let error = fixture.read().1.unwrap_err();
        assert!(matches!(error, LogError::Segment { fault: SegmentFault::Empty, .. }), "{error}");
    }
}

#[test]
fn the_first_segments_may_be_missing_up_to_the_beginning_that_was_written() {
    let fixture = Fixture::with(HEADER_LEN as u64, &[b"one", b"two", b"three", b"four"]);
    let headers: Vec<SegmentHeader> = segments(&*fixture.files, fixture.dir())
        .unwrap()
        .into_iter()
        .map(|segment| segment.header)
        .collect();
    let remove = |first| fs::remove_file(segment_path(fixture.dir(), TxOffset(first))).unwrap();
    let begin = |header: SegmentHeader| write_beginning(&*fixture.files, fixture.dir(), &header);
    remove(0);
    let missing = "is number 1: those before it are missing; or the file `beginning` beside it is, \
                   which says that they were removed on purpose";
    assert_eq!(fixture.error(), format!("the log's segment {:020}.log {missing}", 1));
    begin(headers[2]).unwrap();
    assert_eq!(segments(&*fixture.files, fixture.dir()).unwrap().len(), 3);
    remove(1);
    assert_eq!(segments(&*fixture.files, fixture.dir()).unwrap().len(), 2);
    remove(2);
    let missing = "is number 3, but number 2 is missing before it";
    assert_eq!(fixture.error(), format!("the log's segment {:020}.log {missing}", 3));
    // A beginning of another log, and none at all.
    let other = LogHeader { log_id: [8; 16], ..HEADER };
    begin(SegmentHeader { log: other, ..headers[3] }).unwrap();
    assert!(fixture.error().contains("belongs to another log than beginning"));
    let path = beginning_path(fixture.dir());
    let good = headers[3].encode();
    for bit in 0..good.len() * 8 {
        let mut bytes = good;
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bytes).unwrap();
        assert!(segments(&*fixture.files, fixture.dir()).is_err(), "bit {bit}");
    }
    fs::write(&path, &good[..HEADER_LEN - 1]).unwrap();
    assert!(fixture.error().contains("its header has 59 bytes of 60"), "{}", fixture.error());
    begin(headers[3]).unwrap();
    assert_eq!(segments(&*fixture.files, fixture.dir()).unwrap().len(), 1);
}

#[test]
fn a_segment_that_is_there_twice_is_refused_by_its_number() {
    let fixture = Fixture::with(HEADER_LEN as u64, &[b"one", b"two", b"three"]);
    let again = SegmentHeader { log: HEADER, number: 1, first: TxOffset(2), previous: 0 };
    let path = segment_path(fixture.dir(), TxOffset(2));
    fs::write(&path, again.encode()).unwrap();
    let number = "is number 1 once more, where number 2 should be";
    assert_eq!(fixture.error(), format!("the log's segment {:020}.log {number}", 2));
    // What is good before it is still found.
    let inspected = inspect_segments(&*fixture.files, fixture.dir()).unwrap();
    assert_eq!(inspected.iter().filter(|segment| segment.is_ok()).count(), 3);
}
