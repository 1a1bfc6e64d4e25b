//! What an indexed field may be, and be looked for with.

use crate::collections::KeyEncode;
use crate::identity::ActorId;

#[diagnostic::on_unimplemented(
    message = "actors cannot be found by a `{Self}`",
    note = "an #[index] is a whole number, a bool, a String, a Uuid, an ActorId or an Option of these"
)]
/// A value that actors can be found by.
///
/// Whole numbers of every size have one form, and so have `String` and `str`: `eq("level", 7)` finds a `u64`. An actor whose
/// field is `None` is not in the index of this field.
pub trait IndexValue: Send + Sync {
    /// The form of the value: no form is the beginning of another one. `None`: there is no value.
    fn form(&self) -> Option<Vec<u8>>;
}

/// The kinds of values. The numbers are stored, so they never change.
const NUMBER: u8 = 1;
const TEXT: u8 = 2;
const BOOL: u8 = 3;
const UUID: u8 = 4;
const ACTOR: u8 = 5;

fn tagged<V: KeyEncode + ?Sized>(kind: u8, value: &V) -> Option<Vec<u8>> {
    let mut form = vec![kind];
    value.encode(&mut form);
    Some(form)
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl IndexValue for $number {
            fn form(&self) -> Option<Vec<u8>> {
                tagged(NUMBER, &i128::from(*self))
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! values {
    ($($value:ty => $kind:ident),*) => {$(
        impl IndexValue for $value {
            fn form(&self) -> Option<Vec<u8>> {
                tagged($kind, self)
            }
        }
    )*};
}
values!(str => TEXT, String => TEXT, bool => BOOL, uuid::Uuid => UUID, ActorId => ACTOR);

impl<V: IndexValue> IndexValue for Option<V> {
    fn form(&self) -> Option<Vec<u8>> {
        self.as_ref().and_then(IndexValue::form)
    }
}

impl<V: IndexValue + ?Sized> IndexValue for &V {
    fn form(&self) -> Option<Vec<u8>> {
        V::form(self)
    }
}
