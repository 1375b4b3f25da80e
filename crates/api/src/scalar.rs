//! Numbers of 64 bits as decimal strings, and the names of commands. GraphQL's `Int` has 32 bits, and JSON readers that keep
//! numbers as floating point lose the last digits of larger ones.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

macro_rules! decimal {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub u64);

        $(#[$doc])*
        #[Scalar]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                match &value {
                    Value::String(text) => decimal(text)
                        .map(Self)
                        .ok_or_else(|| InputValueError::custom("not a decimal number of 64 bits")),
                    _ => Err(InputValueError::expected_type(value)),
                }
            }

            fn to_value(&self) -> Value {
                Value::String(self.0.to_string())
            }
        }
    };
}

decimal! {
    /// A count of bytes, as a decimal string.
    Bytes
}
decimal! {
    /// A position in the event log, as a decimal string. The first event is "1"; "0" stands before it.
    Seq
}
decimal! {
    /// A number that may be large, as a decimal string.
    Count
}
decimal! {
    /// Microseconds, as a decimal string. A moment is counted from 1970-01-01T00:00:00 UTC.
    Micros
}

/// A client's own name for a command: a UUID, version 7 for choice. Asking again under the same name,
/// after an answer that never came, does nothing twice and is answered as the first time, as long as
/// the command is among the latest 65,536 that were named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandId(pub eventlog::CommandId);

/// A client's own name for a command: a UUID, version 7 for choice. Asking again under the same name,
/// after an answer that never came, does nothing twice and is answered as the first time, as long as
/// the command is among the latest 65,536 that were named.
#[Scalar(name = "CommandId", specified_by_url = "https://www.rfc-editor.org/rfc/rfc9562")]
impl ScalarType for CommandId {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => Ok(Self(text.parse().map_err(InputValueError::custom)?)),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl From<domain::Seq> for Seq {
    fn from(seq: domain::Seq) -> Self {
        Self(seq.0)
    }
}

impl From<domain::Timestamp> for Micros {
    fn from(at: domain::Timestamp) -> Self {
        Self(at.0)
    }
}

impl From<Seq> for domain::Seq {
    fn from(seq: Seq) -> Self {
        Self(seq.0)
    }
}

/// A number that is small by nature as an `Int`. One that is not comes from strange news, and is
/// told as the largest there is.
pub(crate) fn small(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// Digits only: no sign, no spaces, no fraction.
fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_goes_out_and_comes_back() {
        let value = Bytes(u64::MAX).to_value();
        assert_eq!(value, Value::String("18446744073709551615".into()));
        assert_eq!(Bytes::parse(value).ok(), Some(Bytes(u64::MAX)));
    }

    #[test]
    fn what_is_no_decimal_string_is_refused() {
        for text in ["", "-1", "+1", " 1", "1.0", "0x10", "18446744073709551616"] {
            assert!(Seq::parse(Value::String(text.into())).is_err(), "{text}");
        }
        assert!(Seq::parse(Value::Number(7.into())).is_err());
        assert!(Seq::parse(Value::Null).is_err());
    }
}
