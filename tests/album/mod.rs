//! One album, end to end: the real node on real sockets, in worlds that are kind and unkind.

mod generous;
mod happy;
mod kill;
pub(crate) mod support;
mod unkind;
