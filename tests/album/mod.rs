//! One album, end to end: the real node on real sockets, in worlds that are kind and unkind.

mod happy;
mod kill;
pub(crate) mod support;
mod unkind;
