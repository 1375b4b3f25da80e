//! Wire.
pub mod wire;
