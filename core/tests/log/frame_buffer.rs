//! Frames that are encoded where they are written from.

use interstice_core::log::frame::FrameBuffer;
use proptest::{collection::vec, prelude::*};

use crate::reference::{Writer, cases, content};

/// Lengths around those where a length becomes a byte longer.
fn commit_len() -> impl Strategy<Value = usize> {
    prop_oneof![1..10_usize, 120..135_usize, 16_370..16_390_usize]
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn frames_are_those_of_the_format_whatever_they_hold_and_whenever_they_are_taken(
        groups in vec((vec(commit_len(), 0..4), any::<bool>(), any::<bool>()), 0..6),
    ) {
        let mut buffer = FrameBuffer::default();
        let mut written = Writer::behind(77, 5);
        let mut chain = written.chain();
        for (lens, after_sync, is_taken) in groups {
            let commits: Vec<Vec<u8>> = lens.iter().map(|len| vec![*len as u8; *len]).collect();
            let commits: Vec<&[u8]> = commits.iter().map(Vec::as_slice).collect();
            for (count, commit) in commits.iter().enumerate() {
                prop_assert_eq!(buffer.open_len(), content(&commits[..count]).len());
                buffer.push(commit);
                // What is open is not closed, and no part of it is seen.
                prop_assert_eq!(buffer.closed(), &written.bytes[..]);
            }
            prop_assert_eq!(buffer.open_len(), content(&commits).len());
            if is_taken {
                buffer.clear_closed();
                written.bytes.clear();
                prop_assert_eq!(buffer.closed(), b"");
                prop_assert_eq!(buffer.open_len(), content(&commits).len());
            }
            buffer.close(&mut chain, after_sync);
            if !commits.is_empty() {
                written.commits(if after_sync { b'C' } else { b'c' }, &commits);
            }
            prop_assert_eq!(buffer.open_len(), 0);
            prop_assert_eq!(buffer.closed(), &written.bytes[..]);
            prop_assert_eq!(chain, written.chain());
        }
    }
}

#[test]
fn heads_of_every_length_stand_behind_heads_of_every_other() {
    // Content of one, two and three bytes of length.
    let lens = [1, 126, 127, 200, 16_381, 16_382, 20_000];
    for before in lens {
        for len in lens {
            let (before, commit) = (vec![1; before], vec![2; len]);
            let mut buffer = FrameBuffer::default();
            let mut written = Writer::behind(77, 5);
            let mut chain = written.chain();
            for commits in [&[&before[..]][..], &[&commit], &[b"a", &commit[..]], &[b"z"]] {
                commits.iter().for_each(|commit| buffer.push(commit));
                buffer.close(&mut chain, true);
                written.commits(b'C', commits);
            }
            assert_eq!(buffer.closed(), written.bytes);
        }
    }
}

#[test]
fn an_empty_buffer_closes_nothing() {
    let mut buffer = FrameBuffer::default();
    let written = Writer::behind(77, 5);
    let mut chain = written.chain();
    buffer.close(&mut chain, true);
    assert_eq!((buffer.closed(), buffer.open_len()), (&b""[..], 0));
    assert_eq!(chain, written.chain());
}
