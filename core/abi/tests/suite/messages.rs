//! What people read when bytes are refused, and the lists that both sides share.

use interstice_abi::{
    bytes::{DecodeError, DecodeFault},
    errno::Errno,
    host_calls::{HOST_CALLS, ValueType},
    ids::NameId,
    layout::LayoutError,
    schema::SchemaError,
};

#[test]
fn every_fault_of_decoding_has_its_message() {
    let messages = [
        (DecodeFault::UnexpectedEnd, "the input ends inside a value"),
        (DecodeFault::TrailingBytes, "bytes are left over behind the last value"),
        (DecodeFault::Varint, "a varint is too large or not in its shortest form"),
        (DecodeFault::Boolean, "a boolean or option tag is neither 0 nor 1"),
        (DecodeFault::Tag, "an enum tag names no variant"),
        (DecodeFault::Utf8, "a string is not UTF-8"),
        (DecodeFault::TooLarge, "a value is larger than its limit"),
        (DecodeFault::TooDeep, "values are nested too deep"),
        (DecodeFault::Column, "a set of columns names one that the row does not have"),
    ];
    for (fault, message) in messages {
        assert_eq!(DecodeError { at: 3, fault }.to_string(), format!("at byte 3: {message}"));
    }
}

#[test]
fn errors_can_be_boxed_as_errors() {
    fn is_error<T: core::error::Error + Send + Sync + 'static>() {}
    is_error::<DecodeError>();
    is_error::<LayoutError>();
    is_error::<SchemaError>();
    is_error::<interstice_abi::value::ValueError>();
    is_error::<interstice_abi::filter::FilterError>();
    is_error::<interstice_abi::schema::ParseTypeError>();
}

#[test]
fn error_numbers_are_negative_and_found_again() {
    for (index, &errno) in Errno::ALL.iter().enumerate() {
        assert_eq!(errno.code(), -1 - index as i32);
        assert_eq!(Errno::from_code(errno.code()), Some(errno));
    }
    assert_eq!(Errno::from_code(0), None);
    assert_eq!(Errno::from_code(-99), None);
}

#[test]
fn host_calls_are_listed_once() {
    let mut names: Vec<&str> = HOST_CALLS.iter().map(|call| call.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), HOST_CALLS.len());
    let get = HOST_CALLS.iter().find(|call| call.name == "get").unwrap();
    assert_eq!((get.params.len(), get.result), (5, Some(ValueType::I32)));
    let now = HOST_CALLS.iter().find(|call| call.name == "now").unwrap();
    assert_eq!((now.params.len(), now.result), (0, Some(ValueType::I64)));
    let close = HOST_CALLS.iter().find(|call| call.name == "scan_close").unwrap();
    assert_eq!(close.result, None);
}

#[test]
fn names_have_their_fnv_hash() {
    assert_eq!(NameId::of("").0, 0x811c_9dc5);
    assert_eq!(NameId::of("foobar").0, 0xbf9c_f968);
    assert_eq!(NameId::of_external("hello", "greet"), NameId::of("hello.greet"));
}
