use interstice_abi::bytes::{
    DecodeFault, Reader, unzigzag, unzigzag_i128, varint_len, write_bytes, write_varint_u64,
    write_varint_u128, zigzag, zigzag_i128,
};
use proptest::prelude::*;

proptest! {
    #[test]
    fn varints_are_postcards(value in any::<u64>(), shift in 0..64u32, more in any::<[u8; 3]>()) {
        let value = value >> shift;
        let mut bytes = Vec::new();
        write_varint_u64(&mut bytes, value);
        prop_assert_eq!(&bytes, &postcard::to_allocvec(&value).unwrap());
        prop_assert_eq!(bytes.len(), varint_len(value));
        for more in [&[][..], &more, &[0xff; 12]] {
            let bytes = [&bytes, more].concat();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint_u64(), Ok(value));
            prop_assert_eq!(reader.remaining(), more.len());
            prop_assert_eq!(Reader::new(&bytes).varint(64), Ok(value.into()));
        }
        let signed = value as i64;
        prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        bytes.clear();
        write_varint_u64(&mut bytes, zigzag(signed));
        prop_assert_eq!(bytes, postcard::to_allocvec(&signed).unwrap());
    }

    #[test]
    fn wide_varints_are_postcards(value in any::<u128>(), shift in 0..128u32) {
        let value = value >> shift;
        let mut bytes = Vec::new();
        write_varint_u128(&mut bytes, value);
        prop_assert_eq!(&bytes, &postcard::to_allocvec(&value).unwrap());
        prop_assert_eq!(Reader::new(&bytes).varint(128), Ok(value));
        let signed = value as i128;
        prop_assert_eq!(unzigzag_i128(zigzag_i128(signed)), signed);
        bytes.clear();
        write_varint_u128(&mut bytes, zigzag_i128(signed));
        prop_assert_eq!(bytes, postcard::to_allocvec(&signed).unwrap());
    }

    #[test]
    fn only_the_shortest_form_of_a_varint_is_read(bytes in any::<[u8; 20]>(), continued in 0..20usize) {
        let mut bytes = bytes;
        bytes[..continued].iter_mut().for_each(|byte| *byte |= 0x80);
        for bits in [8, 16, 32, 64, 128] {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint(bits) {
                let mut again = Vec::new();
                write_varint_u128(&mut again, value);
                prop_assert_eq!(&again[..], &bytes[..reader.position()]);
                prop_assert!(bits == 128 || value >> bits == 0);
            }
        }
        let mut reader = Reader::new(&bytes);
        let wide = Reader::new(&bytes).varint(64);
        let long = reader.varint_u64();
        prop_assert_eq!(long.map(u128::from), wide);
        let cut = bytes.len() - 13;
        prop_assert_eq!(
            Reader::new(&bytes[cut..]).varint_u64().map(u128::from),
            Reader::new(&bytes[cut..]).varint(64)
        );
    }
}

#[test]
fn a_reader_reads_what_is_there_and_no_more() {
    let mut out = Vec::new();
    write_bytes(&mut out, "Ada".as_bytes());
    out.extend([1, 7, 8, 9]);
    let mut reader = Reader::new(&out);
    assert_eq!(reader.str(), Ok("Ada"));
    assert_eq!(reader.bool(), Ok(true));
    assert_eq!(reader.finish().unwrap_err().fault, DecodeFault::TrailingBytes);
    assert_eq!(reader.array(), Ok([7, 8]));
    assert_eq!(reader.clone().byte(), Ok(9));
    assert_eq!(reader.array::<2>().unwrap_err().fault, DecodeFault::UnexpectedEnd);
    assert_eq!(reader.take(2).unwrap_err().at, 7);
    assert_eq!(reader.take(1), Ok(&[9][..]));
    assert_eq!(reader.byte().unwrap_err().fault, DecodeFault::UnexpectedEnd);
    assert_eq!(reader.finish(), Ok(()));
    assert_eq!((reader.position(), reader.remaining()), (8, 0));
}

#[test]
fn numbers_too_large_for_their_type_are_refused() {
    let fault = |bytes: &[u8]| Reader::new(bytes).varint_u32().unwrap_err();
    assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).varint_u32(), Ok(u32::MAX));
    assert_eq!(fault(&[0x80, 0x80, 0x80, 0x80, 0x10]).fault, DecodeFault::Varint);
    assert_eq!(fault(&[0xff; 11]).fault, DecodeFault::Varint);
    assert_eq!(fault(&[0x80]).fault, DecodeFault::UnexpectedEnd);
    assert_eq!(Reader::new(&[2]).bool().unwrap_err().fault, DecodeFault::Boolean);
    assert_eq!(Reader::new(&[1, 0xff]).str().unwrap_err().fault, DecodeFault::Utf8);
}
