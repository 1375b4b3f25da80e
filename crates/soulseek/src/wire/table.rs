//! The macros that turn a table of rows into an enum, its codec and its property tests.
//!
//! A row is `code => Name { field: Type, … }` with a sentence above it. Every field type says
//! with [`Field`](super::pack::Field) how it lies on the wire; fields follow each other unframed.

/// Declares the messages of one connection type. The number after the name is the code's type.
macro_rules! messages {
    (
        $(#[$meta:meta])*
        $name:ident: $code:ty {
            $(
                $(#[$row:meta])*
                $value:literal => $variant:ident { $($field:ident: $type:ty),* $(,)? }
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "a row's sentence covers its fields")]
        pub enum $name {
            $(
                $(#[$row])*
                $variant { $($field: $type),* },
            )*
            /// A code this table has no row for, kept as it came.
            Unknown { code: u32, body: Vec<u8> },
        }

        impl $name {
            /// Reads the message with this code. Bytes beyond the known fields are ignored,
            /// because servers and peers append new fields at the end.
            pub fn decode(code: u32, body: &[u8]) -> Result<Self, $crate::wire::DecodeError> {
                #[allow(unused_mut, unused_variables, reason = "rows without fields read nothing")]
                let mut reader = $crate::wire::pack::Reader::new(body);
                match code {
                    $(
                        $value => Ok(Self::$variant {
                            $($field: $crate::wire::pack::Field::read(&mut reader)?),*
                        }),
                    )*
                    code => Ok(Self::Unknown { code, body: body.to_vec() }),
                }
            }

            /// The number that tells this message from the others on its connection.
            pub fn code(&self) -> u32 {
                match self {
                    $(Self::$variant { .. } => $value,)*
                    Self::Unknown { code, .. } => *code,
                }
            }

            /// Writes what follows the code.
            pub fn encode_body(&self) -> Vec<u8> {
                let mut out = Vec::new();
                self.write_body(&mut out);
                out
            }

            /// Writes the whole frame: length, code and body.
            pub fn encode(&self) -> Vec<u8> {
                let mut out = vec![0; 4];
                #[allow(clippy::cast_possible_truncation, reason = "codes of this type fit")]
                let code = self.code() as $code;
                $crate::wire::pack::Field::write(&code, &mut out);
                self.write_body(&mut out);
                $crate::wire::frame::close(&mut out);
                out
            }

            fn write_body(&self, out: &mut Vec<u8>) {
                match self {
                    $(
                        Self::$variant { $($field),* } => {
                            $($crate::wire::pack::Field::write($field, out);)*
                        }
                    )*
                    Self::Unknown { body, .. } => out.extend_from_slice(body),
                }
            }

            /// The code of every row, so that no row can be added without a recorded frame.
            #[cfg(test)]
            pub(crate) const CODES: &[u32] = &[$($value),*];

            /// One strategy per row, so that no row can be added untested.
            #[cfg(test)]
            pub(crate) fn any() -> proptest::strategy::BoxedStrategy<Self> {
                use proptest::prelude::*;
                proptest::strategy::Union::new([
                    $(
                        // The unit keeps rows without fields a strategy too.
                        (Just(()), $(<$type as $crate::wire::pack::Field>::any(),)*)
                            .prop_map(|((), $($field,)*)| Self::$variant { $($field),* })
                            .boxed(),
                    )*
                ])
                .boxed()
            }
        }
    };
}

/// Declares a group of fields that always travel together.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$note:meta])* $field:ident: $type:ty),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$note])* pub $field: $type,)*
        }

        impl $crate::wire::pack::Field for $name {
            fn read(
                reader: &mut $crate::wire::pack::Reader<'_>,
            ) -> Result<Self, $crate::wire::DecodeError> {
                Ok($name { $($field: $crate::wire::pack::Field::read(reader)?),* })
            }
            fn write(&self, out: &mut Vec<u8>) {
                $($crate::wire::pack::Field::write(&self.$field, out);)*
            }
            #[cfg(test)]
            fn any() -> proptest::strategy::BoxedStrategy<Self> {
                use proptest::prelude::*;
                ($(<$type as $crate::wire::pack::Field>::any(),)*)
                    .prop_map(|($($field,)*)| $name { $($field),* })
                    .boxed()
            }
        }
    };
}

/// Round trips and arbitrary bytes for one table.
#[cfg(test)]
macro_rules! table_tests {
    ($name:ident, $channel:expr) => {
        proptest::proptest! {
            #[test]
            fn every_row_survives_a_round_trip(message in $name::any()) {
                let frame = message.encode();
                let (code, body) = $crate::wire::frame::split(&frame, $channel)
                    .expect("our own frame is well formed");
                proptest::prop_assert_eq!($name::decode(code, body), Ok(message));
            }

            #[test]
            fn arbitrary_bytes_never_panic(
                code in 0..200u32,
                body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            ) {
                if let Ok($name::Unknown { body: kept, .. }) = $name::decode(code, &body) {
                    proptest::prop_assert_eq!(kept, body);
                }
            }

            #[test]
            fn damage_never_panics(
                message in $name::any(),
                at in proptest::prelude::any::<proptest::sample::Index>(),
                byte: u8,
            ) {
                let mut frame = message.encode();
                let start = 4 + $channel.code_bytes();
                if frame.len() > start {
                    let at = start + at.index(frame.len() - start);
                    frame[at] = byte;
                    let (code, body) = $crate::wire::frame::split(&frame, $channel)
                        .expect("only the body was damaged");
                    let _ = $name::decode(code, body);
                }
            }
        }
    };
}

#[cfg(test)]
pub(super) use table_tests;
pub(super) use {messages, record};
