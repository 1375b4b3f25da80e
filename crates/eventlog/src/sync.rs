//! What threads of the log meet at. `tests/schedules` compiles the files that use it against shuttle's
//! primitives of the same names instead.

pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
pub(crate) use std::thread;
