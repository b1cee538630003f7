//! A schema section is refused, or makes a valid schema that is written as a
//! section and read back as the same schema.
#![no_main]

use interstice_abi::{layout::Layout, schema::ModuleSchema};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|section: &[u8]| {
    let Ok(schema) = ModuleSchema::decode(section) else { return };
    assert_eq!(schema.validate(), Ok(()));
    let again = schema.encode().expect("it is valid");
    assert_eq!(ModuleSchema::decode(&again).as_ref(), Ok(&schema));
    for table in &schema.tables {
        // A fixed part may be too large; nothing else may be wrong.
        let _ = Layout::of_fields(&schema, schema.columns(table));
    }
});
