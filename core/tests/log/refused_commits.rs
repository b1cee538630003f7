//! Bytes that are no commit.

use interstice_core::{abi::bytes::DecodeFault, log::commit::Commit};

use crate::{
    commits::{HASH, LIMITS, SEED, bytes},
    reference::with_len,
};

/// Checks that bytes are no commit, and why and where not.
#[track_caller]
pub(crate) fn refused(bytes: &[u8], fault: DecodeFault, at: usize) {
    let error = Commit::decode(bytes).unwrap_err();
    assert_eq!((error.fault, error.at), (fault, at));
}

#[test]
fn varints_in_a_longer_form_are_refused_wherever_they_stand() {
    // Each field in its shortest form, and the same with a byte more.
    let fields: [(&[u8], &[u8]); 10] = [
        // Tag: a call with a result and schedules.
        (&[0x50], &[0x50]),
        // Time.
        (&[5], &[0x85, 0]),
        // Module, reducer, arguments.
        (&[1], &[0x81, 0]),
        (&[2], &[0x82, 0]),
        (&[0], &[0x80, 0]),
        // Result.
        (&[1, 7], &[0x81, 0, 7]),
        // Fuel.
        (&[3], &[0x83, 0]),
        // Schedules: their number, and one.
        (&[1], &[0x81, 0]),
        (&[0, 0, 2, 0], &[0, 0, 0x82, 0, 0]),
        // Changes, which are not read here.
        (&[9], &[9, 0]),
    ];
    let with = |longer: Option<usize>| {
        let parts = fields.iter().enumerate();
        let parts: Vec<&[u8]> = parts
            .map(|(n, (short, long))| if longer == Some(n) { *long } else { *short })
            .collect();
        bytes(&parts)
    };
    assert!(Commit::decode(&with(None)).is_ok());
    let mut at = fields[0].0.len();
    for (field, (short, _)) in fields.iter().enumerate().take(9).skip(1) {
        // The schedule's third number is the longer one.
        let place = if field == 8 { at + 2 } else { at };
        refused(&with(Some(field)), DecodeFault::Varint, place);
        at += short.len();
    }
}

#[test]
fn a_tag_that_says_what_cannot_be_is_refused() {
    // Long enough for any cause, and good behind every tag that is.
    for tag in 0..=u8::MAX {
        let (cause, bits) = (tag & 7, tag & !7);
        let failed = bits & 0x20 != 0;
        let is_possible = match cause {
            0 => !failed,
            1 | 2 => !(failed && bits & 0x50 != 0),
            3 => bits & !0x88 == 0,
            4 => bits & !0x80 == 0,
            _ => false,
        };
        let mut parts = vec![tag, 0];
        if bits & 0x08 != 0 {
            parts.extend(SEED.to_le_bytes());
        }
        if bits & 0x80 != 0 {
            parts.extend(with_len(&LIMITS));
        }
        match cause {
            0 => parts.extend([1, 2, 0]),
            3 => parts.extend([&HASH[..], &[1, 0]].concat()),
            4 => parts.push(0),
            _ => {}
        }
        if cause < 3 {
            if failed {
                parts.push(2);
            }
            if bits & 0x10 != 0 {
                parts.extend([1, 7]);
            }
            parts.push(3);
            if bits & 0x40 != 0 {
                parts.extend([1, 0, 0, 0, 0]);
            }
        }
        let bytes = bytes(&[&parts]);
        match is_possible {
            true => {
                let commit = Commit::decode(&bytes).unwrap_or_else(|e| panic!("{tag:#x}: {e}"));
                let mut again = Vec::new();
                commit.encode(&mut again);
                assert_eq!(again, bytes, "{tag:#x}");
            }
            false => {
                let error = Commit::decode(&bytes).unwrap_err();
                assert_eq!(error.fault, DecodeFault::Tag, "{tag:#x}");
            }
        }
    }
}

#[test]
fn values_that_no_commit_has_are_refused() {
    let tag = DecodeFault::Tag;
    // Failure codes are 1 to 5.
    refused(&bytes(&[&[0x21, 0, 0, 3]]), tag, 2);
    refused(&bytes(&[&[0x21, 0, 6, 3]]), tag, 2);
    // A result that is announced has a byte.
    refused(&bytes(&[&[0x11, 0, 0, 3]]), tag, 2);
    // Schedules that are announced are some.
    refused(&bytes(&[&[0x41, 0, 3, 0]]), tag, 3);
    // What failed has changed nothing.
    refused(&bytes(&[&[0x21, 0, 2, 3, 9]]), tag, 2);
    // A repair takes a schedule off or does not.
    refused(&bytes(&[&[4, 0, 2]]), tag, 0);
    // Limits are eighteen, in their shortest form.
    let limited = |limits: &[u8]| bytes(&[&[0x81, 0], &with_len(limits), &[3]]);
    assert!(Commit::decode(&limited(&LIMITS)).is_ok());
    refused(&limited(&[]), DecodeFault::UnexpectedEnd, 3);
    refused(&limited(&LIMITS[..18]), DecodeFault::UnexpectedEnd, 21);
    refused(&limited(&[&LIMITS[..], &[1]].concat()), DecodeFault::TrailingBytes, 23);
    refused(&limited(&[&LIMITS[..18], &[0x81, 0]].concat()), DecodeFault::Varint, 23);
    // Calls that fail leave no record.
    refused(&bytes(&[&[0x20, 0, 1, 2, 0, 2, 3]]), tag, 5);
}

#[test]
fn schedules_that_are_fewer_than_announced_are_refused() {
    // The state hash is read as one more, whose arguments would go on beyond it.
    let bytes = bytes(&[&[0x41, 0, 3, 2, 0, 0, 0, 0]]);
    refused(&bytes, DecodeFault::UnexpectedEnd, bytes.len() - 4);
}

#[test]
fn a_commit_without_changes_has_no_bytes_to_spare_and_none_to_lose() {
    let bodies = [
        bytes(&[&[0x21, 0, 1, 2, 7, 7, 3]]),
        bytes(&[&[3, 0], &HASH, &[1, 2, 7, 7]]),
        bytes(&[&[0x58, 0], &SEED.to_le_bytes(), &[1, 2, 1, 7, 1, 7, 3, 1, 0, 0, 2, 1, 7]]),
        bytes(&[&[4, 0, 1]]),
    ];
    for whole in &bodies {
        assert!(Commit::decode(whole).is_ok());
        for len in 0..whole.len() {
            let error = Commit::decode(&whole[..len]).unwrap_err();
            assert_eq!(error.fault, DecodeFault::UnexpectedEnd, "{len} of {whole:?}");
        }
    }
    // Behind an installation nothing stands but the state hash.
    let longer = [&bodies[1][..], &[0]].concat();
    refused(&longer, DecodeFault::TrailingBytes, bodies[1].len());
}
