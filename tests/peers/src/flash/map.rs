//! The map of `sequential-storage`: records under their numbers, modulo as many
//! as are kept, with all caches.

use std::ops::Range;

use sequential_storage::{
    cache::{
        Cache, key_pointers::ArrayKeyPointers, page_pointers::ArrayPagePointers,
        page_states::ArrayPageStates,
    },
    map::{MapConfig, MapStorage},
};

use super::{
    peers::{Peer, kept, now, said},
    simulated::{PAGE, PAGES, Simulated},
};
use crate::{Result, records::Records};

/// Bytes of a key and the largest record.
const BUFFER: usize = 4 + 128;

/// Keys whose places are cached.
const KEYS: usize = 64;

type Flash<'a> = &'a mut Simulated;
type Caches =
    Cache<ArrayPageStates<PAGES>, ArrayPagePointers<PAGES>, ArrayKeyPointers<u32, KEYS>, u32>;
type Storage<'a> = MapStorage<u32, Flash<'a>, Caches>;

fn map(flash: Flash<'_>) -> Storage<'_> {
    let caches =
        Cache::new(ArrayPageStates::new(), ArrayPagePointers::new(), ArrayKeyPointers::new());
    MapStorage::new(flash, MapConfig::new(0..(PAGES * PAGE) as u32), caches)
}

pub struct Map;

impl Peer for Map {
    fn name(&self) -> &'static str {
        "sequential-storage, map"
    }

    fn memory(&self) -> (usize, usize) {
        (size_of::<Storage<'_>>(), BUFFER)
    }

    fn format(&self, flash: &mut Simulated) -> Result<()> {
        said(now(map(flash).erase_all()))
    }

    fn append(&self, flash: &mut Simulated, records: Records, numbers: Range<u64>) -> Result<()> {
        let mut map = map(flash);
        let mut buffer = [0; BUFFER];
        for number in numbers {
            let key = (number % kept(records)) as u32;
            said(now(map.store_item(&mut buffer, &key, &records.get(number))))?;
        }
        Ok(())
    }

    fn read(&self, flash: &mut Simulated, visit: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut map = map(flash);
        let mut buffer = [0; BUFFER];
        let mut items = said(now(map.fetch_all_items(&mut buffer)))?;
        while let Some((_, record)) = said(now(items.next::<&[u8]>(&mut buffer)))? {
            visit(record);
        }
        Ok(())
    }
}
