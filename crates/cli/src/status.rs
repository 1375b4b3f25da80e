//! `reprise node`: how a running node is doing, over its API.

mod searches;

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::client::Client;
use crate::exit::Failure;
use crate::job::{printable, words};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show session, log and shadow replay; exit code 6 when a decision did not come out again as recorded
    Status,
    /// Show which searches run, which wait and until when, and what the budget leaves
    Searches,
}

const ASKED: &str = "{ node { session reason nextAction position build engine logWaitsForSpace shadow { \
                     state position lag uncompared divergences reason lastDivergence { position recorded \
                     replayed explanation } } } }";

pub(crate) async fn run(api: SocketAddr, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Status => status(api).await,
        Command::Searches => searches::show(api).await,
    }
}

async fn status(api: SocketAddr) -> anyhow::Result<()> {
    let answer: Value = Client::new(api)?.ask(ASKED, json!({})).await?;
    let node = &answer["node"];
    if node.is_null() {
        println!("the node is starting");
        return Ok(());
    }
    let lines = lines(node);
    print!("{}", lines.iter().map(|line| printable(line) + "\n").collect::<String>());
    let divergence = &node["shadow"]["lastDivergence"];
    if divergence.is_null() {
        return Ok(());
    }
    let explanation = text(&divergence["explanation"]);
    let explanation: Vec<_> = explanation.lines().map(printable).collect();
    Err(Failure::unverified(format!("the shadow replay diverges: {}", explanation.join("\n"))))
}

fn lines(node: &Value) -> Vec<String> {
    let shadow = &node["shadow"];
    let mut session = format!("session   {}", words(&text(&node["session"])));
    for more in [&node["reason"], &node["nextAction"]].into_iter().filter_map(Value::as_str) {
        session += &format!("; {more}");
    }
    let mut log = format!("log       {} events", text(&node["position"]));
    if node["logWaitsForSpace"] == json!(true) {
        log += ", waits for space on its disk";
    }
    let mut verified = format!(
        "shadow    {}, verified to event {}, {} behind",
        words(&text(&shadow["state"])),
        text(&shadow["position"]),
        text(&shadow["lag"])
    );
    if shadow["uncompared"] != json!("0") {
        verified += &format!(", {} not to be compared", text(&shadow["uncompared"]));
    }
    if let Some(reason) = shadow["reason"].as_str() {
        verified += &format!("; {reason}");
    }
    let build = format!("build     {}, decision rules {}", text(&node["build"]), node["engine"]);
    let mut lines = vec![session, log, build, verified];
    let last = &shadow["lastDivergence"];
    if !last.is_null() {
        lines.push(format!(
            "          {} divergences, the last at event {}: recorded {}, replayed {}",
            text(&shadow["divergences"]),
            text(&last["position"]),
            last["recorded"].as_str().unwrap_or("nothing"),
            text(&last["replayed"])
        ));
    }
    lines
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
