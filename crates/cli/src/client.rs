//! Talks to a running node over its GraphQL API, as any other client would.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::exit::Failure;

/// A node answers from memory; what takes longer than this is not a node.
const PATIENCE: Duration = Duration::from_secs(15);
/// What has to read a log from its first event on takes as long as the log is.
const LONG_PATIENCE: Duration = Duration::from_secs(3600);

/// A node's API.
pub(crate) struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    patience: Duration,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { http: reqwest::Client::builder().build()?, address, patience: PATIENCE })
    }

    /// The same for what reads the whole log.
    pub(crate) fn patient(self) -> Self {
        Self { patience: LONG_PATIENCE, ..self }
    }

    /// Asks and returns `data`.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: Value,
    ) -> anyhow::Result<T> {
        let sent = self
            .http
            .post(format!("http://{}/graphql", self.address))
            .timeout(self.patience)
            .json(&json!({ "query": query, "variables": variables }))
            .send()
            .await
            .map_err(|error| unreachable(self.address, &error))?;
        let answer: Value = sent.json().await.context("the answer is not JSON; is this a node?")?;
        if let Some(error) = answer["errors"].get(0) {
            anyhow::bail!("{}", error["message"].as_str().unwrap_or("the node refused the query"));
        }
        serde_json::from_value(answer["data"].clone()).context("the answer has another shape")
    }

    /// Fetches a file of the plain HTTP API.
    pub(crate) async fn download(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self
            .http
            .get(format!("http://{}{path}", self.address))
            .timeout(self.patience)
            .send()
            .await
            .map_err(|error| unreachable(self.address, &error))?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Err(Failure::not_found("the node has no such thing"));
        }
        if !answer.status().is_success() {
            return Err(refused(&answer.text().await.unwrap_or_default()));
        }
        Ok(answer.bytes().await.context("the file did not come whole")?.into())
    }
}

/// The failure of a request that the node refused, by the problem details (RFC 9457) that it sent.
pub(crate) fn refused(body: &str) -> anyhow::Error {
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    Failure::refused(problem["detail"].as_str().unwrap_or("the node refused without a reason"))
}

/// The failure of a request that nobody answered.
pub(crate) fn unreachable(address: SocketAddr, error: &reqwest::Error) -> anyhow::Error {
    Failure::unreachable(format!(
        "no node answers at {address} ({}); start one with `reprise serve`, or name another with --api",
        if error.is_timeout() { "timed out" } else { "cannot connect" },
    ))
}
