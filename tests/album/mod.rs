//! One album, end to end: the real node on real sockets, in worlds that are kind and unkind.

mod copied;
mod forgotten;
mod generous;
mod happy;
mod kill;
mod repeated;
pub(crate) mod support;
mod unkind;
