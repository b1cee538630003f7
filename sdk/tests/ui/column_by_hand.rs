use interstice_sdk::{
    __private::{Stored, Tail, section::TypeDesc},
    Column,
};

struct Text(String);

// What the host checks are bytes; what is read is a string.
impl Column for Text {
    const TYPE: TypeDesc = TypeDesc::Bytes;
    type Slot = [u8; 8];
    const IS_FIXED: bool = false;

    fn encode(&self, tail: &mut Tail) -> [u8; 8] {
        self.0.encode(tail)
    }

    fn decode(slot: &[u8; 8], stored: Stored<'_>) -> Self {
        Self(<String as Column>::decode(slot, stored))
    }
}

fn main() {}
