//! State -> snapshot content.

use alloc::vec::Vec;

use abi::bytes::write_varint_u64;
use interstice_abi as abi;
use xxhash_rust::xxh64::Xxh64;

use super::{super::CommittedState, SNAPSHOT_VERSION};
use crate::ids::FunctionRef;

/// Bytes that are gathered before they are written.
const CHUNK_BYTES: usize = if cfg!(target_os = "none") { 256 } else { 4 << 10 };

impl CommittedState {
    /// Encodes everything of this state as [snapshot content](crate::snapshot).
    ///
    /// `write` is given the content piece by piece, in order: pieces of at most
    /// 4 KiB (256 bytes where there is no operating system), and whatever is
    /// longer by itself (a row, arguments, a schema) as one piece. No memory is
    /// needed but for one such small piece, and one schema.
    ///
    /// # Errors
    ///
    /// The first error of `write`, which is not called again then.
    pub fn encode_snapshot<E>(
        &self,
        write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut out = Encoder { piece: Vec::new(), checksum: Xxh64::new(0), write };
        out.raw(&[SNAPSHOT_VERSION])?;
        out.u64(self.seed)?;
        out.u64(self.next_offset.0)?;
        out.raw(&self.time.0.to_le_bytes())?;
        out.u64(self.next_schedule)?;
        out.bytes(&self.recorded_limits)?;
        self.encode_modules(&mut out)?;
        self.encode_tables(&mut out)?;
        self.encode_queue(&mut out)?;
        self.encode_schedule(&mut out)?;
        out.u64(self.hash)?;
        out.finish()
    }

    fn encode_modules<E, W>(&self, out: &mut Encoder<'_, W>) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        out.varint(self.modules.len() as u64)?;
        for module in &self.modules {
            out.raw(&module.content_hash)?;
            out.varint(module.wasm_len)?;
            // Installed schemas are valid, and those can be encoded. An empty
            // one would be refused where it is read.
            out.bytes(&module.schema.encode().unwrap_or_default())?;
        }
        Ok(())
    }

    fn encode_tables<E, W>(&self, out: &mut Encoder<'_, W>) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        out.varint(self.tables.len() as u64)?;
        for table in &self.tables {
            out.varint(u64::from(table.module().0))?;
            out.bytes(table.name().as_bytes())?;
            out.u64(table.next_number())?;
            out.varint(table.len() as u64)?;
            for row in table.rows() {
                out.bytes(row)?;
            }
        }
        Ok(())
    }

    fn encode_queue<E, W>(&self, out: &mut Encoder<'_, W>) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        out.varint(self.queue.len() as u64)?;
        for pending in &self.queue {
            out.varint(pending.trigger.0)?;
            out.varint(u64::from(pending.change))?;
            out.function(pending.target)?;
            out.varint(u64::from(pending.depth))?;
            out.bytes(&pending.args)?;
        }
        Ok(())
    }

    fn encode_schedule<E, W>(&self, out: &mut Encoder<'_, W>) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        out.varint(self.schedule.len() as u64)?;
        for ((at, number), scheduled) in &self.schedule {
            out.raw(&at.0.to_le_bytes())?;
            out.varint(*number)?;
            out.function(scheduled.target)?;
            out.bytes(&scheduled.args)?;
        }
        Ok(())
    }
}

/// Content on its way out.
struct Encoder<'a, W> {
    /// What is not written yet.
    piece: Vec<u8>,
    /// Of what is written.
    checksum: Xxh64,
    write: &'a mut W,
}

impl<W> Encoder<'_, W> {
    fn u64<E>(&mut self, number: u64) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        self.raw(&number.to_le_bytes())
    }

    #[inline]
    fn varint<E>(&mut self, number: u64) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        self.make_room(abi::bytes::varint_len(number))?;
        write_varint_u64(&mut self.piece, number);
        Ok(())
    }

    fn function<E>(&mut self, function: FunctionRef) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        self.varint(u64::from(function.module.0))?;
        self.varint(u64::from(function.index))
    }

    /// Bytes behind their length.
    #[inline]
    fn bytes<E>(&mut self, bytes: &[u8]) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        self.varint(bytes.len() as u64)?;
        self.raw(bytes)
    }

    #[inline]
    fn raw<E>(&mut self, bytes: &[u8]) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        self.make_room(bytes.len())?;
        if bytes.len() > CHUNK_BYTES {
            self.checksum.update(bytes);
            return (self.write)(bytes);
        }
        self.piece.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes the piece if `len` more bytes would make it too long.
    #[inline]
    fn make_room<E>(&mut self, len: usize) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        if self.piece.len() + len <= CHUNK_BYTES || self.piece.is_empty() {
            return Ok(());
        }
        self.checksum.update(&self.piece);
        let written = (self.write)(&self.piece);
        self.piece.clear();
        written
    }

    /// Writes what is left, and the checksum.
    fn finish<E>(mut self) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        self.checksum.update(&self.piece);
        let checksum = self.checksum.digest().to_le_bytes();
        if self.piece.len() + checksum.len() > CHUNK_BYTES {
            (self.write)(&self.piece)?;
            self.piece.clear();
        }
        self.piece.extend_from_slice(&checksum);
        (self.write)(&self.piece)
    }
}
