//! Holds nothing: the tests are one binary, `main.rs`.
