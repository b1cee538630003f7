//! Module files as bytes.
//!
//! Names are stripped from what the text parser makes. What is left is fixed
//! by the text alone, so that golden logs, which hold a hash of every module
//! file, do not depend on how a parser writes names.

const HEADER_LEN: usize = 8;
const CUSTOM: u8 = 0;

/// The module with this text inside `(module ...)`, without names.
pub(super) fn parse(wat: &str) -> Vec<u8> {
    let text = format!("(module {wat})");
    let module = match wat::parse_str(&text) {
        Ok(module) => module,
        Err(error) => panic!("{error}"),
    };
    let (header, mut rest) = module.split_at(HEADER_LEN);
    let mut stripped = header.to_vec();
    while let [id, after @ ..] = rest {
        let (len, after) = read_leb128(after);
        let (body, next) = after.split_at(len);
        let named = *id == CUSTOM && body.starts_with(b"\x04name");
        if !named {
            stripped.extend_from_slice(&rest[..rest.len() - next.len()]);
        }
        rest = next;
    }
    stripped
}

/// Appends a custom section.
pub(super) fn append_custom_section(module: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut body = Vec::new();
    write_leb128(&mut body, name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    module.push(CUSTOM);
    write_leb128(module, body.len());
    module.extend_from_slice(&body);
}

fn read_leb128(bytes: &[u8]) -> (usize, &[u8]) {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0).expect("a parser's output") + 1;
    let groups = bytes[..end].iter().rev();
    (groups.fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f)), &bytes[end..])
}

fn write_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
