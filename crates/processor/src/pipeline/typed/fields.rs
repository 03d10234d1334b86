//! Which fields a type is deserialised from, asked without any input.
//!
//! A derived `Deserialize` of a struct tells its deserialiser the names of its fields; the one here
//! takes note of them and ends with an error.

use std::cell::Cell;

use serde::{
    Deserializer,
    de::{DeserializeOwned, Error as _, Visitor, value::Error},
    forward_to_deserialize_any,
};

/// What is known about the fields of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fields {
    /// The fields of a struct.
    Named(&'static [&'static str]),
    /// A number, a text, a list or an enum: no named fields.
    None,
    /// A map, a type that looks at the input first, or one that is deserialised by hand.
    Unknown,
}

/// What is known about the fields of `T`.
pub(super) fn fields_of<T: DeserializeOwned>() -> Fields {
    let found = Cell::new(Fields::Unknown);
    // It ends with an error, always.
    drop(T::deserialize(Probe(&found)));
    found.get()
}

struct Probe<'a>(&'a Cell<Fields>);

impl Probe<'_> {
    fn note<T>(self, fields: Fields) -> Result<T, Error> {
        self.0.set(fields);
        Err(Error::custom("only asked"))
    }
}

/// Kinds of value that have no fields.
macro_rules! plain {
    ($($kind:ident)*) => {
        $(fn $kind<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            self.note(Fields::None)
        })*
    };
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.note(Fields::Unknown)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.note(Fields::Named(fields))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.note(Fields::None)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.note(Fields::None)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        self.note(Fields::None)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, Error> {
        self.note(Fields::None)
    }

    plain! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
    }

    forward_to_deserialize_any! { option unit_struct map identifier ignored_any }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Named {
        #[serde(rename = "timestamp")]
        at: String,
        value: f64,
    }

    #[derive(Deserialize)]
    struct Wrapped(#[expect(dead_code, reason = "only its shape counts")] Named);

    #[derive(Deserialize)]
    struct Flat {
        #[serde(flatten)]
        _rest: HashMap<String, f64>,
    }

    #[derive(Deserialize)]
    enum Either {
        _A(()),
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        _A(()),
    }

    #[test]
    fn structs_name_their_fields_as_they_are_in_json() {
        assert_eq!(fields_of::<Named>(), Fields::Named(&["timestamp", "value"]));
        assert_eq!(fields_of::<Wrapped>(), Fields::Named(&["timestamp", "value"]));
    }

    #[test]
    fn numbers_texts_lists_and_enums_have_no_named_fields() {
        assert_eq!(fields_of::<(f64, f64)>(), Fields::None);
        assert_eq!(fields_of::<Vec<f64>>(), Fields::None);
        assert_eq!(fields_of::<Either>(), Fields::None);
        assert_eq!(fields_of::<f64>(), Fields::None);
        assert_eq!(fields_of::<String>(), Fields::None);
    }

    #[test]
    fn what_looks_at_the_input_first_is_unknown() {
        assert_eq!(fields_of::<Flat>(), Fields::Unknown);
        assert_eq!(fields_of::<Untagged>(), Fields::Unknown);
        assert_eq!(fields_of::<HashMap<String, f64>>(), Fields::Unknown);
        assert_eq!(fields_of::<serde_json::Value>(), Fields::Unknown);
    }
}
