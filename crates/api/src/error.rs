//! Top-level GraphQL errors: limits, wrong arguments and our own faults, each with a code in its
//! extensions. What the engine refuses is no error but a member of a mutation's result; see
//! [`crate::mutation`].

use std::fmt::Write as _;

use async_graphql::{Error, ErrorExtensions};

/// An argument that cannot be used.
pub(crate) fn bad_input(message: impl Into<String>) -> Error {
    coded(message, "BAD_USER_INPUT")
}

/// The node cannot answer now and may later.
pub(crate) fn not_ready(message: impl Into<String>) -> Error {
    coded(message, "NOT_READY")
}

/// Our own fault. The details go to the log of the process: they may hold paths.
pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Error {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(chain, ": {inner}");
        cause = inner.source();
    }
    tracing::error!(error = chain, "a request failed");
    coded("the node failed to answer; its log says why", "INTERNAL")
}

fn coded(message: impl Into<String>, code: &'static str) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}
