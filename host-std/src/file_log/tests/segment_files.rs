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
fn an_empty_segment_is_none_only_where_it_would_be_the_newest_of_several() {
    let fixture = Fixture::with(1 << 20, &[b"one"]);
    fs::write(segment_path(fixture.dir(), TxOffset(1)), b"").unwrap();
    assert_eq!(segments(&*fixture.files, fixture.dir()).unwrap().len(), 1);
    assert_eq!(fixture.read().0, [b"one"]);
    // The first one is written whole before it has its name.
    fs::remove_file(segment_path(fixture.dir(), TxOffset(1))).unwrap();
    fs::write(segment_path(fixture.dir(), TxOffset(0)), b"").unwrap();
    let error = fixture.read().1.unwrap_err();
    assert!(matches!(error, LogError::Segment { fault: SegmentFault::Empty, .. }), "{error}");
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
