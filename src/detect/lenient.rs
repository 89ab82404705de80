//! Reading foreign objects without ever failing on a value of the wrong type.
//!
//! A status is written by others, in versions we have not seen. A number where a text is expected, or a map where a
//! list is, must cost that one field and not the object, let alone the watch. So every field is read by a visitor that
//! takes whatever comes, in one pass, and answers `None` for what does not fit. Start at [`maybe`] and [`or_default`],
//! which go into `#[serde(deserialize_with = "...")]` of a struct with `#[serde(default)]`.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Reads a value of any type; `None` if it is not a `T`.
pub fn maybe<'de, T: Lenient, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Any(PhantomData).deserialize(deserializer)
}

/// Reads a value of any type; the default if it is not a `T`.
pub fn or_default<'de, T: Lenient + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    maybe(deserializer).map(Option::unwrap_or_default)
}

/// A type that says which shapes of value it takes. Every shape that an implementation leaves out is `None`.
pub trait Lenient: Sized {
    /// From a string.
    #[must_use]
    fn from_text(_: &str) -> Option<Self> {
        None
    }

    /// From a whole number.
    #[must_use]
    fn from_integer(_: i64) -> Option<Self> {
        None
    }

    /// From `true` or `false`.
    #[must_use]
    fn from_bool(_: bool) -> Option<Self> {
        None
    }

    /// From a list, which must be read to its end.
    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    /// From a map, which must be read to its end.
    fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// A struct whose fields are all read leniently, so that its own `Deserialize` takes any map.
pub trait Structure: DeserializeOwned {}

impl<T: Structure> Lenient for T {
    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

impl Lenient for Box<str> {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Lenient for String {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Lenient for i64 {
    fn from_integer(value: i64) -> Option<Self> {
        Some(value)
    }
}

impl Lenient for bool {
    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

/// RFC 3339.
impl Lenient for Timestamp {
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Elements that do not fit are skipped.
impl<T: Lenient> Lenient for Vec<T> {
    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut all = Self::new();
        while let Some(element) = list.next_element_seed(Any(PhantomData))? {
            all.extend(element);
        }
        // What is read here stays in memory by the ten thousand.
        all.shrink_to_fit();
        Ok(Some(all))
    }
}

/// Reads a map's entries in their order. Entries whose value does not fit are skipped.
pub fn entries<'de, T: Lenient, A: MapAccess<'de>>(mut map: A) -> Result<Vec<(Box<str>, T)>, A::Error> {
    let mut all = Vec::new();
    while let Some(key) = map.next_key()? {
        if let Some(value) = map.next_value_seed(Any(PhantomData))? {
            all.push((key, value));
        }
    }
    Ok(all)
}

/// That a field is there, whatever is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exists;

impl Lenient for Exists {
    fn from_text(_: &str) -> Option<Self> {
        Some(Self)
    }

    fn from_integer(_: i64) -> Option<Self> {
        Some(Self)
    }

    fn from_bool(_: bool) -> Option<Self> {
        Some(Self)
    }

    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(Self))
    }

    fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(Self))
    }
}

struct Any<T>(PhantomData<T>);

impl<'de, T: Lenient> DeserializeSeed<'de> for Any<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Lenient> Visitor<'de> for Any<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(T::from_bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(T::from_integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).ok().and_then(T::from_integer))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::from_text(text))
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        T::from_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::from_map(map)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Inner {
        #[serde(deserialize_with = "maybe")]
        n: Option<i64>,
    }

    impl Structure for Inner {}

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Outer {
        #[serde(deserialize_with = "or_default")]
        text: Box<str>,
        #[serde(deserialize_with = "maybe")]
        number: Option<i64>,
        #[serde(deserialize_with = "maybe")]
        flag: Option<bool>,
        #[serde(deserialize_with = "maybe")]
        time: Option<Timestamp>,
        #[serde(deserialize_with = "or_default")]
        inner: Inner,
        #[serde(deserialize_with = "or_default")]
        list: Vec<Inner>,
        #[serde(deserialize_with = "maybe")]
        policy: Option<Exists>,
        last: bool,
    }

    #[test]
    fn a_value_of_the_wrong_type_costs_its_own_field_and_nothing_else() {
        let shapes = [
            "null",
            "true",
            "7",
            "-7",
            "1.5",
            "18446744073709551615",
            "\"x\"",
            "[]",
            "[[1],{\"a\":[2]}]",
            "{}",
            "{\"n\":{\"n\":[]}}",
        ];
        for field in ["text", "number", "flag", "time", "inner", "list", "policy"] {
            for shape in shapes {
                let text = format!("{{\"{field}\": {shape}, \"unknown\": {shape}, \"last\": true}}");
                let read: Outer = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                assert!(read.last, "{text}");
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(serde_json::from_value::<Outer>(value).unwrap(), read, "{text}");
            }
        }
    }

    #[test]
    fn what_fits_is_read() {
        let read: Outer = serde_json::from_value(json!({
            "text": "a", "number": 3, "flag": false, "time": "2026-11-24T08:00:00Z",
            "inner": {"n": 1}, "list": [{"n": 2}, "bad", null, {"n": "bad"}, [3]], "policy": {"rules": []},
        }))
        .unwrap();
        assert_eq!(
            read,
            Outer {
                text: "a".into(),
                number: Some(3),
                flag: Some(false),
                time: "2026-11-24T08:00:00Z".parse().ok(),
                inner: Inner { n: Some(1) },
                list: vec![Inner { n: Some(2) }, Inner { n: None }],
                policy: Some(Exists),
                last: false,
            }
        );
    }

    #[test]
    fn a_time_that_is_not_rfc_3339_is_no_time() {
        for text in
            ["", "yesterday", "2026-11-24T08:00:00", "2026-13-01T00:00:00Z", "99999-01-01T00:00:00Z", "1700000000"]
        {
            assert_eq!(Timestamp::from_text(text), None, "{text}");
        }
        assert_eq!(Timestamp::from_text("2026-11-24T08:00:00.5+08:00"), "2026-11-24T00:00:00.5Z".parse().ok());
    }
}
