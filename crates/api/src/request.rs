//! `POST /graphql`: one GraphQL request per HTTP request, as JSON and nothing else. JSON is what a
//! page of another site cannot send unasked, and one request at a time is what limits can be set on.
//!
//! <https://graphql.github.io/graphql-over-http/draft/>

use std::time::Duration;

use async_graphql::{Request, Response as Answer, Value, Variables};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, json};

use crate::problem::Problem;
use crate::server::Served;

/// Longest time one request may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";
const GRAPHQL_JSON: &str = "application/graphql-response+json";

/// A request as it is posted.
#[derive(Deserialize)]
struct Posted {
    query: String,
    #[serde(rename = "operationName")]
    operation_name: Option<String>,
    variables: Option<Map<String, serde_json::Value>>,
    /// None are known here, but they have to be a map where they are sent.
    #[serde(rename = "extensions")]
    _extensions: Option<Map<String, serde_json::Value>>,
}

/// How the answer is to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// What is used where nothing else is asked for.
    Usual,
    /// `application/json` by name: older clients, which read errors under status 200 only.
    Json,
    /// `application/graphql-response+json`.
    GraphQl,
}

pub(crate) async fn answer(
    State(served): State<Served>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(form) = form(&headers) else {
        let detail = format!("answers are written as {GRAPHQL_JSON} or {JSON}");
        return refuse(StatusCode::NOT_ACCEPTABLE, "not acceptable", detail);
    };
    if !is_json(&headers) {
        let detail = format!("requests are read as {JSON} only");
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported media type", detail);
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            return refuse(rejection.status(), "unreadable body", rejection.body_text());
        }
    };
    let posted: Posted = match serde_json::from_slice(&body) {
        Ok(posted) => posted,
        Err(error) => {
            let detail = format!("not one GraphQL request in JSON: {error}");
            return refuse(StatusCode::BAD_REQUEST, "malformed request", detail);
        }
    };
    let mut request = Request::new(posted.query).variables(Variables::from_json(
        serde_json::Value::Object(posted.variables.unwrap_or_default()),
    ));
    request.operation_name = posted.operation_name;
    match tokio::time::timeout(ANSWER_WITHIN, served.schema.execute(request)).await {
        Ok(answer) => write(&answer, form),
        Err(_) => {
            let detail = format!("no answer within {} s", ANSWER_WITHIN.as_secs());
            refuse(StatusCode::SERVICE_UNAVAILABLE, "too slow", detail)
        }
    }
}

fn refuse(status: StatusCode, title: &'static str, detail: String) -> Response {
    Problem { status, title, detail }.into_response()
}

fn write(answer: &Answer, form: Form) -> Response {
    // Nothing was executed: the document is wrong, or more than is allowed. Then there is no data,
    // not even null.
    let refused = !answer.errors.is_empty()
        && answer.data == Value::Null
        && answer.errors.iter().all(|error| error.path.is_empty());
    let mut body = json!({});
    if !answer.errors.is_empty() {
        body["errors"] = json!(answer.errors);
    }
    if !refused {
        body["data"] = json!(answer.data);
    }
    let status =
        if refused && form != Form::Json { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let kind = match form {
        Form::Usual | Form::Json => format!("{JSON}; charset=utf-8"),
        Form::GraphQl => format!("{GRAPHQL_JSON}; charset=utf-8"),
    };
    (status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
}

/// Whether the body is declared as JSON in UTF-8, which is the only JSON there is.
fn is_json(headers: &HeaderMap) -> bool {
    let mut declared = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (declared.next(), declared.next()) else { return false };
    let Ok(kind) = kind.to_str() else { return false };
    let mut parts = kind.split(';').map(str::trim);
    parts.next().is_some_and(|name| name.eq_ignore_ascii_case(JSON))
        && parts.all(|parameter| {
            let charset = parameter.to_ascii_lowercase().replace('"', "");
            charset.is_empty() || charset == "charset=utf-8"
        })
}

/// The first form asked for that can be written; `None` when none can. Weights are not read: each
/// form says the same.
fn form(headers: &HeaderMap) -> Option<Form> {
    let mut asked = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|one| one.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .peekable();
    if asked.peek().is_none() {
        return Some(Form::Usual);
    }
    asked.find_map(|one| match one.as_str() {
        "*/*" | "application/*" => Some(Form::Usual),
        JSON => Some(Form::Json),
        GRAPHQL_JSON => Some(Form::GraphQl),
        _ => None,
    })
}
