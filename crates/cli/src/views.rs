//! `reprise views`: the read models of a running node, over its API.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::job::{printable, words};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List all views: where each stands, how fast it is, and what is left
    List,
    /// Fold a view anew from the first event on; what is there answers until that is done
    Rebuild {
        /// The view's name
        name: String,
    },
    /// List the events that a view could not take in and has gone on without
    Letters {
        /// The view's name
        name: String,
    },
    /// Try a view's dead letters again, by a rebuild, because rows depend on the order of events
    Retry {
        /// The view's name
        name: String,
    },
    /// Acknowledge that a view goes on without an event
    Skip {
        /// The view's name
        name: String,
        /// The event's position
        seq: u64,
    },
}

/// A view, as the API describes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    name: String,
    position: String,
    lag: String,
    rate_per_s: f64,
    seconds_left: Option<f64>,
    state: String,
    rebuilt_to: Option<String>,
    reason: Option<String>,
    version: Option<u32>,
    dead_letters: u32,
}

const FIELDS: &str = "name position lag ratePerS secondsLeft state rebuiltTo reason version \
                      deadLetters";

pub(crate) async fn run(api: SocketAddr, command: Command) -> anyhow::Result<()> {
    let client = Client::new(api)?;
    match command {
        Command::List => list(&client).await,
        Command::Rebuild { name } | Command::Retry { name } => rebuild(&client, &name).await,
        Command::Letters { name } => letters(&client, &name).await,
        Command::Skip { name, seq } => skip(&client, &name, seq).await,
    }
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let asked = format!("{{ projections {{ {FIELDS} }} }}");
    let answer: Value = client.ask(&asked, json!({})).await?;
    let views: Vec<View> = serde_json::from_value(answer["projections"].clone())?;
    for view in &views {
        println!("{}", printable(&line(view)));
    }
    Ok(())
}

async fn rebuild(client: &Client, name: &str) -> anyhow::Result<()> {
    let asked = "mutation($name: String!) { rebuildProjection(name: $name) { name } }";
    let _: Value = client.ask(asked, json!({ "name": name })).await?;
    println!("{name} is folded anew; see `reprise views list`");
    Ok(())
}

async fn letters(client: &Client, name: &str) -> anyhow::Result<()> {
    let mut after = Value::Null;
    loop {
        let asked = "query($name: String!, $after: Seq) { deadLetters(projection: $name, \
                     after: $after, first: 100) { seq reason acknowledged } }";
        let answer: Value = client.ask(asked, json!({ "name": name, "after": after })).await?;
        let Some(last) = answer["deadLetters"].as_array().and_then(|page| page.last()) else {
            break;
        };
        after = last["seq"].clone();
        for letter in answer["deadLetters"].as_array().into_iter().flatten() {
            let text = |field: &str| letter[field].as_str().unwrap_or_default();
            let seen = if letter["acknowledged"] == true { "  (skipped)" } else { "" };
            println!("{}", printable(&format!("{:>10}  {}{seen}", text("seq"), text("reason"))));
        }
    }
    if after.is_null() {
        println!("{name} has taken every event in");
    }
    Ok(())
}

async fn skip(client: &Client, name: &str, seq: u64) -> anyhow::Result<()> {
    let asked = "mutation($name: String!, $seq: Seq!) { skipDeadLetter(projection: $name, \
                 seq: $seq) { deadLetters } }";
    let variables = json!({ "name": name, "seq": seq.to_string() });
    let answer: Value = client.ask(asked, variables).await?;
    println!(
        "{name} goes on without event {seq}; {} more",
        answer["skipDeadLetter"]["deadLetters"]
    );
    Ok(())
}

/// `jobs  following at event 812, 3 behind, 940 events/s, 0.1 s left`, and what else there is to say.
fn line(view: &View) -> String {
    let mut line = format!("{:<8}", view.name);
    line += &words(&view.state);
    if let Some(to) = &view.rebuilt_to {
        line += &format!(" (at event {to})");
    }
    line += &format!(
        " at event {}, {} behind, {:.0} events/s",
        view.position, view.lag, view.rate_per_s
    );
    if let Some(left) = view.seconds_left.filter(|left| *left > 0.0) {
        line += &format!(", {left:.1} s left");
    }
    if let Some(version) = view.version {
        line += &format!(", version {version}");
    }
    if view.dead_letters > 0 {
        line += &format!(", {} dead letters", view.dead_letters);
    }
    if let Some(reason) = &view.reason {
        line += &format!("; {reason}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_told_on_one_line() {
        let mut view = View {
            name: "jobs".into(),
            position: "812".into(),
            lag: "0".into(),
            rate_per_s: 12.4,
            seconds_left: Some(0.0),
            state: "FOLLOWING".into(),
            rebuilt_to: None,
            reason: None,
            version: Some(2),
            dead_letters: 0,
        };
        let usual = "jobs    following at event 812, 0 behind, 12 events/s, version 2";
        assert_eq!(line(&view), usual);
        view.state = "REBUILDING".into();
        (view.rebuilt_to, view.seconds_left, view.dead_letters) =
            (Some("400".into()), Some(33.2), 2);
        let rebuilding = "jobs    rebuilding (at event 400) at event 812, 0 behind, 12 events/s, \
                          33.2 s left, version 2, 2 dead letters";
        assert_eq!(line(&view), rebuilding);
    }
}
