//! The schema as text: what is checked in is what is served, and no large number is an `Int`.

use crate::node::Node;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/schema.graphql");

/// With `UPDATE_SCHEMA=1` the file is written instead; the change then stands in the commit.
#[test]
fn the_schema_is_the_one_checked_in() {
    let now = api::sdl();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(FILE, &now).unwrap();
    }
    let checked_in = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(checked_in == now, "schema/schema.graphql differs; run with UPDATE_SCHEMA=1 and look");
}

#[test]
fn no_count_of_bytes_and_no_position_is_an_int() {
    for line in api::sdl().lines().map(str::trim).filter(|line| line.contains(": Int")) {
        let name = line.split([':', '(']).next().unwrap().to_ascii_lowercase();
        for large in ["bytes", "seq", "size", "micros", "position"] {
            assert!(!name.contains(large), "{line}");
        }
    }
}

#[tokio::test]
async fn the_schema_can_be_had_as_a_file_and_by_introspection() {
    let node = Node::start(|_| Vec::new()).await;
    let head = format!("GET /schema.graphql HTTP/1.1\nHost: {}", node.address);
    assert_eq!(node.send(&head, "").await.body, api::sdl());
    // As deep as the tools go that ask for a whole schema.
    let wrapped =
        (0..9).fold("kind name".to_owned(), |inner, _| format!("kind name ofType {{ {inner} }}"));
    let introspection = format!(
        "{{ __schema {{ queryType {{ name }} types {{ kind name fields {{ name \
         args {{ name type {{ {wrapped} }} }} type {{ {wrapped} }} }} }} }} }}"
    );
    let answer = node.ask(&introspection).await;
    assert_eq!(answer["data"]["__schema"]["queryType"]["name"], "Query", "{answer}");
}
