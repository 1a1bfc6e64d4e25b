//! How deep a MessagePack value nests, found without recursion and without reading its strings and numbers.
//!
//! Reading a value takes the thread's stack, level by level, so this is asked first of whatever might be too deep, and of
//! every large state that is written. It keeps a number per level: how many values of that list or map are still to come.
//! **Claim**: whoever reads the bytes from their beginning as any type is never deeper in lists, maps and variants (a
//! variant is a map) than what is seen here, also if they break off.

use rmp::Marker;

/// More levels than these are too deep.
pub(crate) const LEVELS: usize = 127;

/// True if the value that begins here nests deeper than [`LEVELS`]. Where bytes break off their value ends.
pub(crate) fn is_too_deep(mut form: &[u8]) -> bool {
    let mut to_come = [0u64; LEVELS];
    let mut level = 0;
    loop {
        let Some(Head { bytes, values }) = head(form) else { return false };
        if values.is_some() && level == LEVELS {
            return true;
        }
        let Some(rest) = form.get(bytes..) else { return false };
        form = rest;
        if let Some(values) = values {
            to_come[level] = values;
            level += 1;
        } else if level == 0 {
            return false;
        } else {
            to_come[level - 1] -= 1;
        }
        // What has ended is one value less of what is around it.
        while level > 0 && to_come[level - 1] == 0 {
            level -= 1;
            match level {
                0 => return false,
                _ => to_come[level - 1] -= 1,
            }
        }
    }
}

/// What stands at the beginning of a value.
struct Head {
    /// How many bytes to pass over: all of a value, or the beginning of a list or map.
    bytes: usize,
    /// How many values stand in the list or map that begins; `None` for what is neither.
    values: Option<u64>,
}

/// `None` if the bytes break off.
fn head(form: &[u8]) -> Option<Head> {
    let (&marker, rest) = form.split_first()?;
    let length = |bytes: usize| {
        let length = rest.get(..bytes)?;
        Some(length.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)))
    };
    let value = |bytes: usize| Some(Head { bytes: 1 + bytes, values: None });
    let sized = |prefix: usize, more: usize| {
        let content = usize::try_from(length(prefix)?).ok()?;
        value(prefix.checked_add(more)?.checked_add(content)?)
    };
    let nested = |prefix: usize, values: u64| Some(Head { bytes: 1 + prefix, values: Some(values) });
    // Readers count an extension as a level without values.
    let extension = |head: Option<Head>| head.map(|head| Head { values: Some(0), ..head });
    match Marker::from_u8(marker) {
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => value(0),
        Marker::Reserved => value(0),
        Marker::U8 | Marker::I8 => value(1),
        Marker::U16 | Marker::I16 => value(2),
        Marker::U32 | Marker::I32 | Marker::F32 => value(4),
        Marker::U64 | Marker::I64 | Marker::F64 => value(8),
        Marker::FixStr(bytes) => value(bytes.into()),
        Marker::Str8 | Marker::Bin8 => sized(1, 0),
        Marker::Str16 | Marker::Bin16 => sized(2, 0),
        Marker::Str32 | Marker::Bin32 => sized(4, 0),
        Marker::FixExt1 => extension(value(1 + 1)),
        Marker::FixExt2 => extension(value(1 + 2)),
        Marker::FixExt4 => extension(value(1 + 4)),
        Marker::FixExt8 => extension(value(1 + 8)),
        Marker::FixExt16 => extension(value(1 + 16)),
        Marker::Ext8 => extension(sized(1, 1)),
        Marker::Ext16 => extension(sized(2, 1)),
        Marker::Ext32 => extension(sized(4, 1)),
        Marker::FixArray(values) => nested(0, values.into()),
        Marker::Array16 => nested(2, length(2)?),
        Marker::Array32 => nested(4, length(4)?),
        Marker::FixMap(entries) => nested(0, 2 * u64::from(entries)),
        Marker::Map16 => nested(2, 2 * length(2)?),
        Marker::Map32 => nested(4, 2 * length(4)?),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde::de::IgnoredAny;

    use super::*;

    /// What a reader says that passes over any value and counts levels.
    fn reader_finds_too_deep(form: &[u8]) -> bool {
        let mut reader = rmp_serde::Deserializer::from_read_ref(form);
        reader.set_max_depth(LEVELS + 1);
        matches!(IgnoredAny::deserialize(&mut reader), Err(rmp_serde::decode::Error::DepthLimitExceeded))
    }

    /// Any bytes, mostly those that begin lists and maps, each with its length behind it.
    fn forms() -> impl Strategy<Value = Vec<u8>> {
        let opening = prop_oneof![
            8 => Just(vec![0x91]),
            8 => Just(vec![0x81, 0xa1, b'x']),
            2 => Just(vec![0x92, 0xc0]),
            1 => Just(vec![0xdc, 0, 1]),
            1 => Just(vec![0xdf, 0, 0, 0, 1, 0xcd, 1, 2]),
            1 => Just(vec![0x92, 0xc4, 2, 0x91, 0x91]),
            1 => Just(vec![0x93, 0xd4, 1, 0x91, 0x90]),
            1 => Just(vec![0x92, 0xcb, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91]),
            1 => Just(vec![0x80]),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        let around = prop::collection::vec(opening, 0..20);
        (around, 100usize..140, any::<bool>()).prop_map(|(around, levels, first)| {
            let (around, levels) = (around.concat(), vec![0x91; levels]);
            if first { [around, levels].concat() } else { [levels, around].concat() }
        })
    }

    proptest! {
        #[test]
        fn it_says_what_a_reader_says_that_counts_levels(form in forms()) {
            prop_assert_eq!(is_too_deep(&form), reader_finds_too_deep(&form));
        }
    }

    #[test]
    fn the_last_level_is_the_last_one() {
        let nested = |levels| [vec![0x91; levels - 1], vec![0x90]].concat();
        assert!(!is_too_deep(&nested(LEVELS)));
        assert!(is_too_deep(&nested(LEVELS + 1)));
        let one_after_the_other = [vec![0xdc, 1, 0], [0x91, 0x90].repeat(256)].concat();
        assert!(!is_too_deep(&one_after_the_other));
    }
}
