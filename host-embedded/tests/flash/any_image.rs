//! A region that bytes describe, and what must hold of it whatever it is. The
//! fuzz target `flash_image` has this file too.
//!
//! The first four bytes choose the region's shape, what it holds before it is
//! edited, and which checksums are mended afterwards: a fuzzer cannot guess
//! one. The rest are the region's bytes, or edits.

use embedded_storage::nor_flash::NorFlash;
use interstice_core::{
    Inputs, Limits, Timestamp, TxOffset,
    abi::{
        ids::NameId,
        schema::{
            Access, AccessSet, Field, FunctionDef, ModuleSchema, TableDef, Type, TypeDef, TypeKind,
        },
    },
    log::frame::{LogHeader, crc32c},
};
use interstice_embedded::{
    Device,
    flash_log::{FlashLog, FlashLogError, image::open_image},
    mock_flash::MockFlash,
};

const LABEL_LEN: usize = 16;
const HEADER_LEN: usize = 96;
const RECORD_HEAD_LEN: usize = 8;

/// Bytes of the record buffer.
const RECORD: usize = 96;

const LOG: LogHeader = LogHeader { log_id: [0x5a; 16], seed: 77 };

/// Times that a mark is read before a page is erased on its word.
const MARK_READS: usize = 64;

/// The shape of a region: words, pages, and how many pages.
#[derive(Clone, Copy, Debug)]
struct Shape {
    word: usize,
    page: usize,
    pages: usize,
}

/// What a region holds before it is edited.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// Whatever the input says.
    Any,
    /// A log of so many small commits.
    Log(u8),
    /// A device that has made so many calls.
    Device(u8),
}

/// A region, edited and mended.
#[derive(Debug)]
pub(crate) struct AnyImage {
    shape: Shape,
    bytes: Vec<u8>,
}

/// Calls a function for the flash of a shape.
macro_rules! for_shape {
    ($shape:expr, $function:ident($($argument:expr),*)) => {
        match ($shape.word, $shape.page) {
            (1, 256) => $function::<1, 256>($($argument),*),
            (4, 256) => $function::<4, 256>($($argument),*),
            (8, 256) => $function::<8, 256>($($argument),*),
            (32, 256) => $function::<32, 256>($($argument),*),
            (1, _) => $function::<1, 512>($($argument),*),
            (4, _) => $function::<4, 512>($($argument),*),
            (8, _) => $function::<8, 512>($($argument),*),
            (_, _) => $function::<32, 512>($($argument),*),
        }
    };
}

impl AnyImage {
    /// What an input describes; nothing if it is too short.
    pub(crate) fn of(input: &[u8]) -> Option<Self> {
        let ([shape, content, count, mend], rest) = input.split_first_chunk()?;
        let shape = Shape {
            word: [1, 4, 8, 32][usize::from(shape % 4)],
            page: [256, 512][usize::from(shape / 4 % 2)],
            pages: 2 + usize::from(shape / 8 % 7),
        };
        let content = match content % 8 {
            0 => Content::Any,
            1..4 => Content::Device(count % 40),
            _ => Content::Log(*count),
        };
        let mut bytes = match content {
            Content::Any => {
                let mut bytes = vec![0xff; shape.page * shape.pages];
                let len = bytes.len().min(rest.len());
                bytes[..len].copy_from_slice(&rest[..len]);
                bytes
            }
            Content::Log(count) => for_shape!(shape, log(shape.pages, count)),
            Content::Device(count) => for_shape!(shape, device(shape.pages, count)),
        };
        if !matches!(content, Content::Any) {
            edit(&mut bytes, shape, rest);
        }
        let mut image = Self { shape, bytes };
        if mend & 1 != 0 {
            image.mend_records(mend & 2 != 0);
        }
        if mend & 4 != 0 {
            image.mend_headers();
        }
        Some(image)
    }

    /// Bytes of the region.
    #[allow(dead_code, reason = "the fuzz target compares allocations with it")]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Mounts, replays and goes on; finds the log in the image. Returns whether it
    /// was mounted.
    ///
    /// # Panics
    ///
    /// When something does not hold.
    pub(crate) fn check(&self) -> bool {
        let is_mounted = for_shape!(self.shape, mount_and_go_on(&self.bytes));
        let _ = open_image(&self.bytes, None).map(|mut found| {
            let _ = found.log.replay(&mut |_| Ok::<(), ()>(()));
        });
        is_mounted
    }

    /// Opens it as a device does: what is in the log becomes tables.
    pub(crate) fn open(&self) {
        for_shape!(self.shape, open_device(&self.bytes));
    }

    fn header_len(&self) -> usize {
        HEADER_LEN.next_multiple_of(self.shape.word)
    }

    /// The pages, by the numbers that they say.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.shape.pages).collect();
        order.sort_by_key(|page| self.sequence(*page));
        order
    }

    fn sequence(&self, page: usize) -> u64 {
        u64::from_le_bytes(self.field(page, 0))
    }

    fn field<const N: usize>(&self, page: usize, at: usize) -> [u8; N] {
        let at = page * self.shape.page + at;
        self.bytes[at..].first_chunk().copied().unwrap_or([0; N])
    }

    /// Mends the checksums of all records and, if `chains`, what the next page
    /// says of them.
    fn mend_records(&mut self, chains: bool) {
        for page in self.order() {
            let (sequence, log_id) = (self.sequence(page), self.field::<16>(page, 28));
            let key = crc32c(crc32c(0, &log_id), &sequence.to_le_bytes());
            let mut chain = u32::from_le_bytes(self.field(page, 80));
            let mut count = 0_u32;
            let (mut place, start) = (self.header_len(), page * self.shape.page);
            let bytes = &mut self.bytes[start..start + self.shape.page];
            while let Some(sum) = mend_record(bytes, place, key, self.shape.word) {
                chain = crc32c(chain, &sum.to_le_bytes());
                count += 1;
                place += record_len(&bytes[place..], self.shape.word);
            }
            if chains {
                self.say(sequence, count, chain);
            }
        }
    }

    /// Writes count and chain of a page into the pages behind it.
    fn say(&mut self, sequence: u64, count: u32, chain: u32) {
        for page in 0..self.shape.pages {
            let back = u32::from_le_bytes(self.field(page, 8));
            if back != 0 && self.sequence(page).wrapping_sub(back.into()) == sequence {
                let at = page * self.shape.page;
                self.bytes[at + 76..at + 80].copy_from_slice(&count.to_le_bytes());
                self.bytes[at + 80..at + 84].copy_from_slice(&chain.to_le_bytes());
            }
        }
    }

    /// Mends the checksums of all labels and headers.
    fn mend_headers(&mut self) {
        for page in 0..self.shape.pages {
            let start = page * self.shape.page;
            let header = &mut self.bytes[start..start + HEADER_LEN];
            if header[..LABEL_LEN].iter().all(|byte| *byte == 0xff) {
                continue;
            }
            let place = crc32c(crc32c(0, b"IFLG"), &(page as u16).to_le_bytes());
            let label = crc32c(place, &header[..12]);
            header[12..16].copy_from_slice(&label.to_le_bytes());
            let sum = crc32c(0, &header[..HEADER_LEN - 4]);
            header[HEADER_LEN - 4..].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

/// Bytes of the record that these bytes begin with.
fn record_len(bytes: &[u8], word: usize) -> usize {
    let first = u16::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default());
    (RECORD_HEAD_LEN + usize::from(first & 0x1fff)).next_multiple_of(word)
}

/// Mends a record's count of zeros and its checksum, which it returns. Nothing
/// where none can be.
fn mend_record(page: &mut [u8], place: usize, key: u32, word: usize) -> Option<u32> {
    let first: [u8; 2] = page.get(place..)?.first_chunk().copied()?;
    let number = u16::from_le_bytes(first);
    let payload = usize::from(number & 0x1fff);
    let record = page.get_mut(place..)?;
    let record = record.get_mut(..record_len(&first, word))?;
    if !(1..=6).contains(&(number >> 13)) {
        return None;
    }
    let zeros = |bytes: &[u8]| bytes.iter().map(|byte| byte.count_zeros()).sum::<u32>();
    let count = zeros(&first) + zeros(&record[RECORD_HEAD_LEN..RECORD_HEAD_LEN + payload]);
    record[2..4].copy_from_slice(&(count as u16).to_le_bytes());
    let start = crc32c(key, &(place as u32).to_le_bytes());
    let sum = crc32c(crc32c(start, &record[..4]), &record[RECORD_HEAD_LEN..]);
    record[4..8].copy_from_slice(&sum.to_le_bytes());
    Some(sum)
}

/// Changes bytes as an input says: six bytes for each edit.
fn edit(bytes: &mut [u8], shape: Shape, edits: &[u8]) {
    for &[kind, a, b, len, c, d] in edits.as_chunks().0 {
        let any = |a: u8, b: u8| usize::from(u16::from_le_bytes([a, b])) % bytes.len();
        let (from, other) = (any(a, b), any(c, d));
        // Where fields are: at the beginning of a page, and behind its header.
        let field = (from % shape.pages * shape.page + usize::from(len)) % bytes.len();
        let to = (from + usize::from(len)).min(bytes.len());
        match kind % 8 {
            0 => bytes[from] ^= 1 << (len % 8),
            1 => bytes[from..to].fill(0xff),
            2 => bytes[from..to].fill(c),
            3 => bytes[field] = c,
            4 => bytes[field] = bytes[field].wrapping_add(c % 4).wrapping_sub(d % 4),
            5 => {
                let len = (to - from).min(bytes.len() - other);
                bytes.copy_within(from..from + len, other);
            }
            6 => {
                let page = |at: usize| at % shape.pages * shape.page;
                bytes.copy_within(page(from)..page(from) + shape.page, page(other));
            }
            _ => {
                let value = [c, d, 0, 0];
                let field = field.min(bytes.len() - 4);
                bytes[field..field + 4].copy_from_slice(&value);
            }
        }
    }
}

/// A log of small commits, and snapshots where they are needed.
fn log<const WORD: usize, const PAGE: usize>(pages: usize, commits: u8) -> Vec<u8> {
    let mut flash = MockFlash::<WORD, PAGE>::new(pages);
    if let Ok(mut log) = FlashLog::<_, RECORD>::format(&mut flash, LOG) {
        for commit in 0..commits {
            let bytes =
                vec![commit; usize::from(commit) * 7 % 40 + usize::from(commit % 9 == 8) * 90];
            if append(&mut log, &bytes).is_err() {
                break;
            }
        }
    }
    flash.image().to_vec()
}

fn append<F: NorFlash, const RECORD: usize>(
    log: &mut FlashLog<F, RECORD>,
    commit: &[u8],
) -> Result<(), FlashLogError> {
    let offset = TxOffset(log.next_offset().0);
    match log.append(offset, commit) {
        Err(FlashLogError::NeedsSnapshot) => {
            log.begin_snapshot()?;
            log.write_snapshot(&[7; 50])?;
            log.finish_snapshot()?;
            log.append(offset, commit)
        }
        other => other,
    }
}

/// A device that inserts rows. The smallest regions have no room for its module.
fn device<const WORD: usize, const PAGE: usize>(pages: usize, calls: u8) -> Vec<u8> {
    let mut flash = MockFlash::<WORD, PAGE>::new(pages);
    let _ = FlashLog::<_>::format(&mut flash, LOG).map(drop);
    let wasm = module();
    if let Ok((mut device, _)) = Device::<_>::open(&mut flash, &Limits::default(), &[]) {
        let runtime = device.runtime();
        if runtime.install(&wasm, Inputs::at(Timestamp(0))).is_ok()
            && let Ok(add) = runtime.reducer("m", "add")
        {
            for call in 0..u64::from(calls) {
                let inputs = Inputs::at(Timestamp(call as i64));
                if runtime.call(add, &call.to_le_bytes(), inputs).is_err() {
                    break;
                }
            }
        }
    }
    flash.image().to_vec()
}

/// A module with a table of one column, and a reducer that inserts a row.
fn module() -> Vec<u8> {
    let id = || Field { name: "id".into(), ty: Type::U64 };
    let schema = ModuleSchema {
        module: "m".into(),
        types: vec![TypeDef { name: "R".into(), kind: TypeKind::Struct(vec![id()]) }],
        tables: vec![TableDef {
            name: "t".into(),
            version: 1,
            row: "R".into(),
            primary_key: vec![0],
            auto_increment: None,
        }],
        reducers: vec![FunctionDef {
            name: "add".into(),
            params: vec![id()],
            access: vec![Access {
                table: "t".into(),
                allowed: AccessSet::READ.union(AccessSet::INSERT),
            }],
            ..FunctionDef::default()
        }],
        queries: Vec::new(),
    };
    let section = schema.encode().expect("it is valid");
    let section: String = section.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let table = NameId::of("t").0.cast_signed();
    let text = format!(
        r#"(module
            (import "interstice_1" "args_read" (func $args_read (param i32)))
            (import "interstice_1" "insert" (func $insert (param i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "reducer.add") (param i32)
                (call $args_read (i32.const 0))
                (drop (call $insert (i32.const {table}) (i32.const 0) (i32.const 8))))
            (@custom "interstice.schema" "{section}"))"#
    );
    wat::parse_str(text).expect("it is valid")
}

fn mount_and_go_on<const WORD: usize, const PAGE: usize>(bytes: &[u8]) -> bool {
    let mut flash = MockFlash::<WORD, PAGE>::of_image(bytes);
    // The region twice; a mark that is not trusted; the page that a mount writes,
    // which is read back. The last two count in small regions only.
    let mark = RECORD_HEAD_LEN.next_multiple_of(WORD);
    let most = 2 * bytes.len() + MARK_READS * mark + PAGE;
    // As a device does, whose records are larger.
    let mounted = FlashLog::<_>::mount(&mut flash);
    let Ok((mut log, _)) = mounted else {
        let read = flash.counters.bytes_read as usize;
        assert!(read <= most, "a mount has read {read} bytes");
        return false;
    };
    let read = log.flash().counters.bytes_read as usize;
    assert!(read <= most, "a mount has read {read} bytes");
    let replayed = log.replay(&mut |_| Ok::<(), ()>(()));
    let replayed_bytes = log.flash().counters.bytes_read as usize - read;
    assert!(replayed_bytes <= 2 * bytes.len(), "a replay has read {replayed_bytes} bytes");
    if replayed.is_ok() {
        let _ = append(&mut log, b"and on").and_then(|()| log.mark());
    }
    assert_eq!(flash.counters.words_programmed_twice, 0);
    true
}

fn open_device<const WORD: usize, const PAGE: usize>(bytes: &[u8]) {
    let mut flash = MockFlash::<WORD, PAGE>::of_image(bytes);
    let _ = Device::<_>::open(&mut flash, &Limits::default(), &[]).map(drop);
}
