//! No panic is in reach of the logs of devices.
//!
//! An image, `host-embedded/firmware/no-panic`, does everything with a log in any
//! order, and nothing is known in it of what surrounds the log. A panic that the
//! optimizer does not show to be out of reach ends in a call that is still in the
//! image. The linker leaves a record of all calls; they are followed from the entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::Path,
};

use addr2line::gimli::{self, Dwarf, EndianSlice, LittleEndian};
use object::{
    Object as _, ObjectSection as _, ObjectSymbol, RelocationTarget, SectionKind, SymbolKind,
};

use crate::{
    firmware,
    run::{Problem, root, run},
    setup,
};

/// The package of the images; their profile has the same name.
const PACKAGE: &str = "no-panic";

/// One target is enough: what the source cannot reach, it cannot reach on any.
const TARGET: &str = "thumbv7em-none-eabihf";

/// What a panic ends in.
const PANIC: &str = "a_panic";

/// What is let pass: the compiler puts it into every future, for those who poll it
/// once more after it was ready. An `.await` does not, nor does the blocking front.
const LET_PASS: &str = "core::panicking::panic_const::panic_const_async_fn_resumed";

/// Builds the images, and looks at both: at one that has a panic, which must be
/// found, and at the one with the logs.
pub(crate) fn check() -> Result<(), Problem> {
    setup::targets()?;
    run(firmware::in_firmware(&format!(
        "build --quiet --profile {PACKAGE} --package {PACKAGE} --target {TARGET}"
    )))?;
    let probe = panics("probe")?;
    let [place] = &*probe else {
        return Err(format!("in the probe one panic is to be found, not these: {probe:?}"));
    };
    println!("found in the probe, as it must be: {place}");
    let panics = panics("logs")?;
    if panics.is_empty() {
        println!("no panic is in reach of the logs");
        return Ok(());
    }
    Err(format!(
        "panics are in reach of the logs:\n{}\n\
         Use what returns an option, or a bound that the optimizer sees",
        panics.join("\n")
    ))
}

/// Where in our source a panic is in reach of an image's entry, and what panics.
fn panics(image: &str) -> Result<Vec<String>, Problem> {
    let path = firmware::target().join(TARGET).join(PACKAGE).join(image);
    places(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn places(image: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let bytes = fs::read(image)?;
    let elf = object::File::parse(&*bytes)?;
    let (calls, source) = (Calls::of(&elf)?, Source::of(&elf)?);
    let panics = calls.that_panic();
    // Where our source calls what is not ours.
    let leaving = panics.iter().filter_map(|call| {
        let (place, to) = (source.ours(call.at)?, call.to?);
        source.ours(to).is_none().then(|| format!("{place}: {}", calls.name(to)))
    });
    let mut places: BTreeSet<String> = leaving.collect();
    if places.is_empty() {
        places = panics.iter().map(|call| calls.name(call.from).to_owned()).collect();
    }
    Ok(places.into_iter().collect())
}

/// An address in an image: of a function, where it begins.
type Address = u64;

/// Where one function goes on in another.
#[derive(Clone, Copy)]
struct Call {
    at: Address,
    from: Address,
    /// `None`: it is a panic.
    to: Option<Address>,
}

struct Function {
    end: Address,
    name: String,
}

/// What the functions of an image call.
struct Calls {
    all: Vec<Call>,
    /// Where it begins, and functions whose addresses are in its data.
    roots: Vec<Address>,
    functions: BTreeMap<Address, Function>,
}

impl Calls {
    fn of(elf: &object::File<'_>) -> Result<Self, Box<dyn Error>> {
        let functions = elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
        let functions = functions.map(|symbol| {
            let end = address(&symbol) + symbol.size();
            let name = addr2line::demangle_auto(symbol.name().unwrap_or_default().into(), None);
            (address(&symbol), Function { end, name: name.into_owned() })
        });
        let functions = functions.collect();
        let mut calls = Self { all: Vec::new(), roots: Vec::new(), functions };
        calls.roots.push(calls.around(elf.entry() & !1).ok_or("it begins with no function")?);
        for section in elf.sections() {
            let is_code = section.kind() == SectionKind::Text;
            if !is_code && !matches!(section.kind(), SectionKind::Data | SectionKind::ReadOnlyData)
            {
                continue;
            }
            for (at, relocation) in section.relocations() {
                let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
                let symbol = elf.symbol_by_index(symbol)?;
                let to = match symbol.kind() {
                    SymbolKind::Text => Some(address(&symbol)),
                    _ if symbol.is_undefined() && symbol.name()?.contains(PANIC) => None,
                    SymbolKind::Section if is_code_section(elf, &symbol) => {
                        return Err("a function is referred to by no name".into());
                    }
                    _ => continue,
                };
                match calls.around(at).filter(|_| is_code) {
                    Some(from) => calls.all.push(Call { at, from, to }),
                    None => calls.roots.extend(to),
                }
            }
        }
        Ok(calls)
    }

    /// The function that an instruction belongs to.
    fn around(&self, at: Address) -> Option<Address> {
        let (start, function) = self.functions.range(..=at).next_back()?;
        (at < function.end).then_some(*start)
    }

    fn name(&self, function: Address) -> &str {
        self.functions.get(&function).map_or("?", |function| &function.name)
    }

    /// The calls that are in reach, and that a panic is in reach of.
    fn that_panic(&self) -> Vec<Call> {
        let passes = |call: &&Call| call.to.is_some_and(|to| self.name(to) == LET_PASS);
        let calls = || self.all.iter().filter(|call| !passes(call));
        let (mut callees, mut callers) = (BTreeMap::new(), BTreeMap::new());
        for call in calls() {
            callees.entry(Some(call.from)).or_insert_with(Vec::new).push(call.to);
            callers.entry(call.to).or_insert_with(Vec::new).push(Some(call.from));
        }
        let reached = reach(self.roots.iter().copied().map(Some).collect(), &callees);
        let panics = reach(vec![None], &callers);
        let is_between =
            |call: &&Call| reached.contains(&Some(call.from)) && panics.contains(&call.to);
        calls().filter(is_between).copied().collect()
    }
}

/// Where a function begins. The lowest bit says how its instructions are encoded.
fn address<'a>(symbol: &impl ObjectSymbol<'a>) -> Address {
    symbol.address() & !1
}

/// Whether a symbol stands for a section of code.
fn is_code_section<'a>(elf: &object::File<'a>, symbol: &impl ObjectSymbol<'a>) -> bool {
    let section = symbol.section_index().and_then(|index| elf.section_by_index(index).ok());
    section.is_some_and(|section| section.kind() == SectionKind::Text)
}

/// All that some functions lead to, themselves among them.
fn reach(
    mut open: Vec<Option<Address>>,
    next: &BTreeMap<Option<Address>, Vec<Option<Address>>>,
) -> BTreeSet<Option<Address>> {
    let mut reached = BTreeSet::new();
    while let Some(function) = open.pop() {
        if reached.insert(function) {
            open.extend(next.get(&function).into_iter().flatten());
        }
    }
    reached
}

/// The lines of the source that an image was made from.
struct Source<'a>(addr2line::Context<EndianSlice<'a, LittleEndian>>);

impl<'a> Source<'a> {
    fn of(elf: &object::File<'a>) -> Result<Self, Box<dyn Error>> {
        let dwarf = Dwarf::load(|section| -> Result<_, gimli::Error> {
            let section = elf.section_by_name(section.name());
            let data = section.and_then(|section| section.data().ok()).unwrap_or_default();
            Ok(EndianSlice::new(data, LittleEndian))
        });
        Ok(Self(addr2line::Context::from_dwarf(dwarf?)?))
    }

    /// The innermost line of our source that an instruction belongs to.
    fn ours(&self, at: Address) -> Option<String> {
        let mut frames = self.0.find_frames(at).skip_all_loads().ok()?;
        while let Ok(Some(frame)) = frames.next() {
            let Some(location) = frame.location else { continue };
            let file = location.file.map(Path::new).unwrap_or(Path::new(""));
            let Ok(file) = file.strip_prefix(root()) else { continue };
            let (file, line) = (file.display(), location.line.unwrap_or_default());
            let name = frame.function.and_then(|name| Some(name.demangle().ok()?.into_owned()));
            return Some(format!("{file}:{line}: in {}", name.as_deref().unwrap_or("?")));
        }
        None
    }
}
