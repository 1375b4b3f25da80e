//! The event log as a program from outside: killed again and again, damaged, copied, put back.

mod commands;
mod kill;

use std::path::Path;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
