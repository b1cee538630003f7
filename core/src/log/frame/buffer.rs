//! Frames that are encoded where they are written from: commits are copied
//! once.
//!
//! ```text
//! +---------------+------+--------+--------+----
//! | closed frames | room | commit | commit | ...
//! +---------------+------+--------+--------+----
//!                open
//! ```
//!
//! A frame begins with its length, which is known when it is closed. Until then
//! there is room for it, as much as the last frame took; if that was wrong, the
//! commits are moved.

use alloc::vec::Vec;

use abi::bytes::write_varint_u64;
use interstice_abi as abi;

use super::{Chain, commits_kind, put_varint, varint_len};
use crate::ids::TxOffset;

/// Frames that wait to be written, and commits that will share the next one.
#[derive(Clone, Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// Where the closed frames end.
    open: usize,
    /// Bytes between them and the commits; none while there is no commit.
    room: usize,
    /// Commits behind them.
    commits: u64,
    /// Bytes of kind and length in the last frame that was closed.
    last_head_len: usize,
}

impl FrameBuffer {
    /// Adds a commit, which has at least one byte, to the open frame.
    #[inline]
    pub fn push(&mut self, commit: &[u8]) {
        let len = commit.len() as u64;
        if self.commits == 0 {
            self.room = self.last_head_len.max(head_len(varint_len(len) + len));
            self.bytes.resize(self.open + self.room, 0);
        }
        write_varint_u64(&mut self.bytes, len);
        self.bytes.extend_from_slice(commit);
        self.commits += 1;
    }

    /// Bytes of the open frame's commits, with their lengths.
    #[inline]
    pub fn open_len(&self) -> usize {
        self.bytes.len() - self.open - self.room
    }

    /// The closed frames.
    #[inline]
    pub fn closed(&self) -> &[u8] {
        self.bytes.get(..self.open).unwrap_or_default()
    }

    /// Forgets the closed frames.
    pub fn clear_closed(&mut self) {
        self.bytes.drain(..self.open);
        self.open = 0;
    }

    /// Closes the open frame, if there is one, as the next of `chain`.
    pub fn close(&mut self, chain: &mut Chain, after_sync: bool) {
        if self.commits == 0 {
            return;
        }
        let content_len = self.open_len() as u64;
        let head_len = head_len(content_len);
        self.move_commits(head_len);
        let frame = self.bytes.get_mut(self.open..).unwrap_or_default();
        if let Some((kind, rest)) = frame.split_first_mut() {
            *kind = commits_kind(after_sync) as u8;
            put_varint(content_len, rest);
        }
        chain.checksum = chain.expects(frame);
        chain.next = TxOffset(chain.next.0 + self.commits);
        self.bytes.extend_from_slice(&chain.checksum.to_le_bytes());
        (self.open, self.room, self.commits) = (self.bytes.len(), 0, 0);
        self.last_head_len = head_len;
    }

    /// Makes the room for the head as long as that.
    fn move_commits(&mut self, head_len: usize) {
        let (start, end) = (self.open + self.room, self.bytes.len());
        if head_len > self.room {
            self.bytes.resize(end + head_len - self.room, 0);
        }
        if head_len != self.room {
            self.bytes.copy_within(start..end, self.open + head_len);
            self.bytes.truncate(end + head_len - self.room);
        }
        self.room = head_len;
    }
}

/// Bytes of a frame's kind and length.
fn head_len(content_len: u64) -> usize {
    1 + varint_len(content_len) as usize
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::{super::LogHeader, *};

    fn chain() -> Chain {
        Chain::behind(&LogHeader { log_id: [9; 16], seed: 1 }, 7, TxOffset(3))
    }

    /// What a buffer that is filled with commits of these lengths has closed,
    /// and the same by [`Chain::append`] where a frame has one commit.
    fn close_all(groups: &[&[usize]]) -> (Vec<u8>, Vec<Vec<Vec<u8>>>) {
        let mut chain = self::chain();
        let mut buffer = FrameBuffer::default();
        for group in groups {
            for len in *group {
                buffer.push(&vec![*len as u8; *len]);
            }
            buffer.close(&mut chain, false);
        }
        let bytes = buffer.closed().to_vec();
        let mut frames = Vec::new();
        let (mut chain, mut rest) = (self::chain(), &bytes[..]);
        while let super::super::Read::Frame(frame) = chain.read(rest) {
            frames.push(frame.commits().map(|(_, commit)| commit.to_vec()).collect());
            rest = &rest[frame.len..];
        }
        assert_eq!(rest, []);
        (bytes, frames)
    }

    #[test]
    fn frames_are_the_same_whatever_length_the_one_before_had() {
        let groups: [&[usize]; 8] =
            [&[1], &[200], &[5, 7, 9], &[40_000], &[1; 300], &[126], &[127], &[20_000, 3]];
        let (bytes, frames) = close_all(&groups);
        let expected: Vec<Vec<Vec<u8>>> = groups
            .iter()
            .map(|group| group.iter().map(|len| vec![*len as u8; *len]).collect())
            .collect();
        assert_eq!(frames, expected);
        let head = |content: usize| {
            if content < 128 {
                2
            } else if content < 16384 {
                3
            } else {
                4
            }
        };
        let content = |len: &usize| len + varint_len(*len as u64) as usize;
        let lens = groups.iter().map(|group| group.iter().map(content).sum::<usize>());
        assert_eq!(bytes.len(), lens.map(|len| len + head(len) + 4).sum::<usize>());
    }

    #[test]
    fn a_frame_of_one_commit_is_the_one_that_a_chain_appends() {
        for len in [1, 126, 127, 128, 16_380, 16_384] {
            let mut expected = Vec::new();
            chain().append(&vec![len as u8; len], false, &mut expected);
            assert_eq!(close_all(&[&[len]]).0, expected);
        }
    }

    #[test]
    fn the_open_frame_stays_when_closed_ones_are_forgotten() {
        let mut chain = self::chain();
        let mut buffer = FrameBuffer::default();
        buffer.push(b"one");
        buffer.close(&mut chain, false);
        buffer.push(b"two");
        assert_eq!(buffer.open_len(), 4);
        let mut expected = chain;
        buffer.clear_closed();
        assert!(buffer.closed().is_empty());
        buffer.close(&mut chain, true);
        let mut frame = Vec::new();
        expected.append(b"two", true, &mut frame);
        assert_eq!(buffer.closed(), frame);
        assert_eq!(chain, expected);
    }
}
