//! `reprise chat`: conversations with Soulseek users, over the API of a running node.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::exit::Failure;
use crate::job::{printable, words};

/// How often, and how many times, it is asked what became of a message.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS: usize = 50;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// With whom; all conversations when absent
    user: Option<String>,
    /// What to say; the conversation is shown and marked as read when absent
    text: Vec<String>,
    /// How many conversations or messages at most
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
    first: u32,
    /// Only messages before this event
    #[arg(long, value_name = "EVENT")]
    before: Option<u64>,
}

/// A conversation, as the API describes it.
#[derive(Deserialize)]
struct Conversation {
    user: String,
    messages: u32,
    unread: u32,
    newest: Option<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    seq: String,
    sent_at: String,
    text: String,
    state: String,
    reason: Option<String>,
}

const MESSAGE: &str = "seq sentAt text state reason";

pub(crate) async fn run(api: SocketAddr, options: Options) -> anyhow::Result<()> {
    let client = Client::new(api)?;
    match &options.user {
        None => list(&client, options.first).await,
        Some(user) if options.text.is_empty() => show(&client, user, &options).await,
        Some(user) => say(&client, user, &options.text.join(" ")).await,
    }
}

async fn list(client: &Client, first: u32) -> anyhow::Result<()> {
    let asked = format!(
        "query($first: Int) {{ chats(first: $first) {{ pageInfo {{ hasNextPage }} \
         nodes {{ user messages unread newest {{ {MESSAGE} }} }} }} }}"
    );
    let answer: Value = client.ask(&asked, json!({ "first": first })).await?;
    let chats = &answer["chats"];
    let conversations: Vec<Conversation> = serde_json::from_value(chats["nodes"].clone())?;
    for conversation in &conversations {
        println!("{}", printable(&head(conversation)));
    }
    if conversations.is_empty() {
        eprintln!("nobody has said anything");
    }
    if chats["pageInfo"]["hasNextPage"] == true {
        eprintln!("there are more; ask for more with --first");
    }
    Ok(())
}

async fn show(client: &Client, user: &str, options: &Options) -> anyhow::Result<()> {
    let asked = format!(
        "query($user: String!, $before: Seq, $first: Int) {{ chat(user: $user, before: $before, \
         first: $first) {{ pageInfo {{ hasNextPage }} nodes {{ {MESSAGE} }} }} }}"
    );
    let before = options.before.map(|before| before.to_string());
    let variables = json!({ "user": user, "before": before, "first": options.first });
    let answer: Value = client.ask(&asked, variables).await?;
    let chat = &answer["chat"];
    let messages: Vec<Message> = serde_json::from_value(chat["nodes"].clone())?;
    let (Some(newest), Some(oldest)) = (messages.first(), messages.last()) else {
        eprintln!("nothing was said");
        return Ok(());
    };
    if chat["pageInfo"]["hasNextPage"] == true {
        eprintln!("there is more; ask for it with --before {}", oldest.seq);
    }
    for message in messages.iter().rev() {
        println!("{}", printable(&line(user, message)));
    }
    let mark = "mutation($user: String!, $through: Seq!) { markChatRead(user: $user, \
                through: $through) { seq } }";
    let is_unread = messages.iter().any(|message| message.state == "RECEIVED");
    if is_unread {
        let _: Value = client.ask(mark, json!({ "user": user, "through": newest.seq })).await?;
    }
    Ok(())
}

async fn say(client: &Client, user: &str, text: &str) -> anyhow::Result<()> {
    let said = "mutation($user: String!, $text: String!) { sendChat(user: $user, text: $text) { \
                ... on ChatReceipt { seq } ... on UserError { message hint } } }";
    let answer: Value = client.ask(said, json!({ "user": user, "text": text })).await?;
    let answer = &answer["sendChat"];
    let Some(seq) = answer["seq"].as_str() else {
        let word = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        return Err(Failure::refused(format!("{}; {}", word("message"), word("hint"))));
    };
    let next = seq.parse::<u64>()?.saturating_add(1).to_string();
    let asked = format!(
        "query($user: String!, $before: Seq) {{ chat(user: $user, before: $before, first: 1) {{ \
         nodes {{ {MESSAGE} }} }} }}"
    );
    for _ in 0..LOOKS {
        let answer: Value = client.ask(&asked, json!({ "user": user, "before": next })).await?;
        let message: Message = serde_json::from_value(answer["chat"]["nodes"][0].clone())?;
        match message.state.as_str() {
            "SENDING" => tokio::time::sleep(LOOK_EVERY).await,
            "SENT" => {
                println!("sent; the server tells nobody whether it arrived");
                return Ok(());
            }
            _ => anyhow::bail!("not sent: {}", message.reason.unwrap_or_default()),
        }
    }
    anyhow::bail!("it is not known yet whether it was sent; see `reprise chat {user}`")
}

/// `ada       2 unread of 5  "the last message"`.
fn head(conversation: &Conversation) -> String {
    let Conversation { user, messages, unread, newest } = conversation;
    let last = newest.as_ref().map_or("", |message| message.text.as_str());
    format!("{user:<24} {unread} unread of {messages}  {last}")
}

/// `2023-11-14 22:13  ada: hello`, in UTC; what we said stands behind `>` and says so if it was not sent.
fn line(user: &str, message: &Message) -> String {
    let at = moment(message.sent_at.parse().unwrap_or(0));
    let mut line = match message.state.as_str() {
        "RECEIVED" => format!("{at}  {user}: {}", message.text),
        _ => format!("{at}  > {}", message.text),
    };
    if !matches!(message.state.as_str(), "RECEIVED" | "SENT") {
        line += &format!("  ({}", words(&message.state));
        if let Some(reason) = &message.reason {
            line += &format!(": {reason}");
        }
        line.push(')');
    }
    line
}

/// Year, month, day, hour and minute of a moment in UTC, which is told in microseconds since 1970.
fn moment(micros: u64) -> String {
    let minutes = micros / 60_000_000;
    // Days are counted from 1 March 0000, so that the day of a leap year is the last one.
    let days = minutes / 1_440 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (minutes % 1_440 / 60, minutes % 60);
    format!("{year:04}-{month:02}-{date:02} {hour:02}:{minute:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(state: &str, reason: Option<&str>) -> Message {
        Message {
            seq: "7".into(),
            sent_at: "1700000000000000".into(),
            text: "hello".into(),
            state: state.into(),
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn a_message_is_told_on_one_line() {
        assert_eq!(line("ada", &message("RECEIVED", None)), "2023-11-14 22:13  ada: hello");
        assert_eq!(line("ada", &message("SENT", None)), "2023-11-14 22:13  > hello");
        let failed = line("ada", &message("FAILED", Some("our session closed")));
        assert_eq!(failed, "2023-11-14 22:13  > hello  (failed: our session closed)");
    }

    #[test]
    fn a_moment_is_told_as_people_do() {
        let day = 86_400_000_000;
        assert_eq!(moment(0), "1970-01-01 00:00");
        assert_eq!(moment(11_016 * day), "2000-02-29 00:00");
        assert_eq!(moment(11_017 * day + 3_660_000_000), "2000-03-01 01:01");
        assert_eq!(moment(20_818 * day), "2026-12-31 00:00");
    }
}
