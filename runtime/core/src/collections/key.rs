//! Keys of a map as bytes whose order, byte by byte, is the order of the keys.
//!
//! | type | form |
//! |---|---|
//! | `bool`, unsigned numbers, `char` | big-endian |
//! | signed numbers | big-endian with the sign turned round, so that −1 comes before 0 |
//! | `String`, `str`, `Vec<u8>`, `[u8]` | their bytes, 0 as `00 ff`, and an end of `00 01` |
//! | `[u8; N]`, `Uuid` | their bytes |
//! | `Option<T>` | `00`, or `01` and the value: `None` comes first |
//! | tuples of up to four, [`ActorId`] | one part after the other |
//!
//! No form is the beginning of another form of its type: so tuples are ordered by their first parts first. These forms
//! are stored, so they never change.

use std::borrow::Borrow;

use crate::identity::{ActorId, ActorType};

/// What a map can be asked with: it has a form whose order is its own.
///
/// An own type may implement it by encoding its parts one after the other; it must then have the order of these parts.
pub trait KeyEncode: Send + Sync {
    /// Appends the form.
    fn encode(&self, out: &mut Vec<u8>);
}

/// What can be a map's key: its form can be read back.
///
/// If it implements `Borrow<Q>`, both must have the same form, as `String` and `str` do.
pub trait MapKey: KeyEncode + Sized + 'static {
    /// Reads the form from the front of `input` and leaves the rest; `None` if it is none.
    fn decode(input: &mut &[u8]) -> Option<Self>;
}

/// The form of a key.
pub(super) fn encoded<Q: KeyEncode + ?Sized>(key: &Q) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    key.encode(&mut out);
    out
}

/// Reads a form that nothing follows.
pub(super) fn decoded<K: MapKey>(mut form: &[u8]) -> Option<K> {
    K::decode(&mut form).filter(|_| form.is_empty())
}

fn array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*array)
}

macro_rules! unsigned {
    ($($number:ty),*) => {$(
        impl KeyEncode for $number {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
        }
        impl MapKey for $number {
            fn decode(input: &mut &[u8]) -> Option<Self> {
                array(input).map(Self::from_be_bytes)
            }
        }
    )*};
}
unsigned!(u8, u16, u32, u64, u128);

macro_rules! signed {
    ($($number:ty as $unsigned:ty),*) => {$(
        impl KeyEncode for $number {
            fn encode(&self, out: &mut Vec<u8>) {
                self.wrapping_sub(Self::MIN).cast_unsigned().encode(out);
            }
        }
        impl MapKey for $number {
            fn decode(input: &mut &[u8]) -> Option<Self> {
                Some(<$unsigned>::decode(input)?.cast_signed().wrapping_add(Self::MIN))
            }
        }
    )*};
}
signed!(i8 as u8, i16 as u16, i32 as u32, i64 as u64, i128 as u128);

impl KeyEncode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl MapKey for bool {
    fn decode(input: &mut &[u8]) -> Option<Self> {
        match u8::decode(input)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl KeyEncode for char {
    fn encode(&self, out: &mut Vec<u8>) {
        u32::from(*self).encode(out);
    }
}

impl MapKey for char {
    fn decode(input: &mut &[u8]) -> Option<Self> {
        Self::from_u32(u32::decode(input)?)
    }
}

impl KeyEncode for [u8] {
    fn encode(&self, out: &mut Vec<u8>) {
        for &byte in self {
            out.push(byte);
            if byte == 0 {
                out.push(0xff);
            }
        }
        out.extend_from_slice(&[0, 1]);
    }
}

impl KeyEncode for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

impl MapKey for Vec<u8> {
    fn decode(input: &mut &[u8]) -> Option<Self> {
        let mut bytes = Self::new();
        loop {
            let zero = input.iter().position(|&byte| byte == 0)?;
            bytes.extend_from_slice(&input[..zero]);
            let mark = *input.get(zero + 1)?;
            *input = &input[zero + 2..];
            match mark {
                1 => return Some(bytes),
                0xff => bytes.push(0),
                _ => return None,
            }
        }
    }
}

impl KeyEncode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode(out);
    }
}

impl KeyEncode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode(out);
    }
}

impl MapKey for String {
    fn decode(input: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(Vec::decode(input)?).ok()
    }
}

impl<const N: usize> KeyEncode for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<const N: usize> MapKey for [u8; N] {
    fn decode(input: &mut &[u8]) -> Option<Self> {
        array(input)
    }
}

impl KeyEncode for uuid::Uuid {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode(out);
    }
}

impl MapKey for uuid::Uuid {
    fn decode(input: &mut &[u8]) -> Option<Self> {
        array(input).map(Self::from_bytes)
    }
}

impl KeyEncode for ActorId {
    fn encode(&self, out: &mut Vec<u8>) {
        self.actor_type.as_str().encode(out);
        str::encode(self.key.borrow(), out);
    }
}

impl MapKey for ActorId {
    fn decode(input: &mut &[u8]) -> Option<Self> {
        let actor_type = ActorType::new(String::decode(input)?).ok()?;
        Self::new(actor_type, String::decode(input)?).ok()
    }
}

impl<T: KeyEncode> KeyEncode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }
}

impl<T: MapKey> MapKey for Option<T> {
    fn decode(input: &mut &[u8]) -> Option<Self> {
        if bool::decode(input)? { T::decode(input).map(Some) } else { Some(None) }
    }
}

impl<T: KeyEncode + ?Sized> KeyEncode for &T {
    fn encode(&self, out: &mut Vec<u8>) {
        T::encode(self, out);
    }
}

macro_rules! tuples {
    ($($part:ident $place:tt),*) => {
        impl<$($part: KeyEncode),*> KeyEncode for ($($part,)*) {
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$place.encode(out);)*
            }
        }
        impl<$($part: MapKey),*> MapKey for ($($part,)*) {
            fn decode(input: &mut &[u8]) -> Option<Self> {
                Some(($($part::decode(input)?,)*))
            }
        }
    };
}
tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    /// The forms have the order of the keys, none begins another one, and each is read back.
    fn check<K: MapKey + Ord + Debug>(a: &K, b: &K) {
        let (form_a, form_b) = (encoded(a), encoded(b));
        assert_eq!(form_a.cmp(&form_b), a.cmp(b), "{a:?} {b:?}");
        assert!(a == b || !form_b.starts_with(&form_a), "{a:?} {b:?}");
        assert_eq!(decoded::<K>(&form_a).as_ref(), Some(a));
    }

    proptest! {
        #[test]
        fn the_order_of_the_forms_is_the_order_of_the_keys(
            bytes in any::<[Vec<u8>; 2]>(), signed in any::<[i64; 2]>(), small in any::<[i8; 2]>(),
            texts in any::<[String; 2]>(), unsigned in any::<[u32; 2]>(), optional in any::<[Option<u16>; 2]>(),
            tuples in any::<[(String, i16, Option<Vec<u8>>); 2]>(), chars in any::<[(char, bool); 2]>(),
        ) {
            check(&bytes[0], &bytes[1]);
            check(&signed[0], &signed[1]);
            check(&small[0], &small[1]);
            check(&texts[0], &texts[1]);
            check(&unsigned[0], &unsigned[1]);
            check(&optional[0], &optional[1]);
            check(&tuples[0], &tuples[1]);
            check(&chars[0], &chars[1]);
        }

        #[test]
        fn zeros_in_texts_keep_the_order(a in prop::collection::vec(0..3u8, 0..5), b in prop::collection::vec(0..3u8, 0..5)) {
            check(&(a.clone(), 255u8), &(b.clone(), 255u8));
            check(&(a, 0u8), &(b, 1u8));
        }

        #[test]
        fn damaged_forms_are_refused_and_never_panic(bytes in any::<Vec<u8>>()) {
            if let Some(key) = decoded::<(String, Option<i32>, bool)>(&bytes) {
                prop_assert_eq!(encoded(&key), bytes);
            }
        }
    }

    #[test]
    fn forms_match_the_committed_vectors() {
        assert_eq!(encoded(&("a\0", -1i16, 7u32)), b"a\x00\xff\x00\x01\x7f\xff\x00\x00\x00\x07");
        assert_eq!(encoded(&(None::<bool>, Some('x'))), b"\x00\x01\x00\x00\x00\x78");
        let id: ActorId = "A/k".parse().unwrap();
        assert_eq!(encoded(&id), b"A\x00\x01k\x00\x01");
    }
}
