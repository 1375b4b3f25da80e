//! The GraphQL schema as a whole: its three roots, its limits, and its text.

use async_graphql::{SDLExportOptions, Schema, SchemaBuilder};

use crate::mutation::Mutation;
use crate::object::UserError;
use crate::query::Query;
use crate::state::{Advances, ApiState, PastTurn};
use crate::subscription::Subscription;

/// Levels of fields within each other: as many as tools use that ask for the whole schema. Ours has
/// five.
const DEEPEST: usize = 15;

/// Fields in one request, those of lists counted as often as there may be entries.
const MOST_COMPLEX: usize = 2000;

pub(crate) type ApiSchema = Schema<Query, Mutation, Subscription>;

pub(crate) fn build(state: ApiState) -> ApiSchema {
    builder()
        .limit_depth(DEEPEST)
        .limit_complexity(MOST_COMPLEX)
        .data(Advances::of(&state))
        .data(PastTurn::default())
        .data(state)
        .finish()
}

/// The schema in GraphQL's own language, the same for every run of one build.
#[must_use]
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .use_space_ident()
        .indent_width(2);
    let text = builder().finish().sdl_with_options(options);
    format!("{}\n", text.trim())
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    // No field returns the interface by itself, so it is not found by walking the roots.
    Schema::build(Query, Mutation, Subscription).register_output_type::<UserError>()
}
