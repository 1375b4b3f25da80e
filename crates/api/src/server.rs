//! The HTTP side of the API: routes, limits and what each kind of wrong request is answered with.
//! Who may ask at all is decided in [`crate::guard`], before anything here; what can be asked is in
//! [`crate::schema`]; sockets go on in [`crate::socket`].

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State, WebSocketUpgrade};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use domain::JobId;
use eventlog::history::{Header, Identities};
use projections::AsOf;
use replay::redact::RedactError;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::guard::{self, Guard};
use crate::problem::Problem;
use crate::schema::{self, ApiSchema};
use crate::state::{ApiState, read};
use crate::{backup, history, request, socket};

/// Longest request body, in bytes.
const LONGEST_BODY: usize = 1024 * 1024;

/// Sockets open at the same time.
const MOST_SOCKETS: usize = 64;

/// Copies of the log that are taken at the same time: each holds a volume in memory.
const MOST_BACKUPS: usize = 1;

/// Histories that are written at the same time: each reads the log up to three times and decides all of
/// it anew.
const MOST_HISTORIES: usize = 1;

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Others than this machine could reach it.
    #[error(
        "the API does not listen at {0}: it has no authentication yet, so only loopback addresses \
         are allowed; set api.listen to 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// The listener failed.
    #[error("the API could not be served")]
    Io(#[from] io::Error),
}

/// What all routes see.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) schema: ApiSchema,
    state: ApiState,
    sockets: Arc<Semaphore>,
    backups: Arc<Semaphore>,
    histories: Arc<Semaphore>,
}

/// Serves the API until `ended` is, then finishes the requests at work. Sockets end with the process.
///
/// # Errors
/// When the listener is not on loopback, or fails.
pub async fn serve(
    listener: TcpListener,
    state: ApiState,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    Ok(axum::serve(listener, routes(state)).with_graceful_shutdown(ended).await?)
}

fn routes(state: ApiState) -> Router {
    let guard = Guard::new(state.hosts.iter().cloned());
    let served = Served {
        schema: schema::build(state.clone()),
        state,
        sockets: Arc::new(Semaphore::new(MOST_SOCKETS)),
        backups: Arc::new(Semaphore::new(MOST_BACKUPS)),
        histories: Arc::new(Semaphore::new(MOST_HISTORIES)),
    };
    Router::new()
        .route("/graphql", post(request::answer).fallback(only_post))
        .route("/graphql/ws", get(upgrade))
        .route("/schema.graphql", get(schema_file))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/api/v0/jobs/{id}/history", get(history_file))
        .route("/api/v0/log/backup", get(log_backup))
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(middleware::from_fn_with_state(guard, guard::stand))
        .layer(middleware::map_response(answer_headers))
        .with_state(served)
}

/// Nothing that is served here may be kept, framed, or taken for something else.
async fn answer_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn only_post() -> Response {
    let problem = Problem {
        status: StatusCode::METHOD_NOT_ALLOWED,
        title: "method not allowed",
        detail: "GraphQL is asked here by POST".into(),
    };
    ([(header::ALLOW, "POST")], problem).into_response()
}

async fn not_found() -> Problem {
    Problem {
        status: StatusCode::NOT_FOUND,
        title: "not found",
        detail: "there is nothing at this path; GraphQL is at /graphql".into(),
    }
}

async fn schema_file() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], schema::sdl()).into_response()
}

/// How a history is asked for.
#[derive(Debug, serde::Deserialize)]
struct HistoryQuery {
    identities: Option<String>,
}

async fn history_file(
    State(served): State<Served>,
    Path(id): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Response {
    let Ok(number) = id.parse() else { return not_found().await.into_response() };
    let job = JobId(number);
    let view = served.state.jobs.clone();
    let refuse = |status, title, detail| Problem { status, title, detail }.into_response();
    match read(move || view.get(job)).await {
        Ok(AsOf { value: Some(found), .. }) => {
            let identities = match query.identities.as_deref() {
                None => Identities::Replaced,
                Some("included") => Identities::Kept,
                Some(_) => {
                    let detail = "identities is `included` or not told".into();
                    return refuse(StatusCode::BAD_REQUEST, "bad input", detail);
                }
            };
            let Ok(place) = Arc::clone(&served.histories).try_acquire_owned() else {
                return busy("a history is being written; try again when it is done");
            };
            let (build, engine) = (served.state.build, served.state.engine);
            let header = Header { build, engine, job: Some(job), identities, ..Header::default() };
            let (log, last) = (served.state.log, found.head.changed);
            let reader = log.clone();
            // The place goes with the work, which goes on when the client does not wait for it.
            let prepare =
                move || history::prepare(&reader, header, last).map(|export| (export, place));
            match read(move || Ok::<_, Infallible>(prepare())).await {
                Ok(Ok((export, place))) => history::answer(log, export, job, last, place),
                Ok(Err(error @ RedactError::Changed { .. })) => refuse(
                    StatusCode::CONFLICT,
                    "not without names",
                    format!("{error}; ask with ?identities=included"),
                ),
                Ok(Err(error)) => {
                    refuse(StatusCode::INTERNAL_SERVER_ERROR, "failed", error.to_string())
                }
                Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "failed", error.message),
            }
        }
        Ok(AsOf { value: None, .. }) => {
            refuse(StatusCode::NOT_FOUND, "no such job", format!("there is no job {job}"))
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "failed", error.message),
    }
}

async fn log_backup(State(served): State<Served>) -> Response {
    let Ok(place) = Arc::clone(&served.backups).try_acquire_owned() else {
        return busy("a copy of the log is being taken; try again when it is done");
    };
    backup::answer(served.state.log, place)
}

fn busy(detail: &str) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Problem { status, title: "busy", detail: detail.into() }.into_response()
}

async fn upgrade(
    State(served): State<Served>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let refuse = |status, detail: &str| {
        Problem { status, title: "no socket", detail: detail.into() }.into_response()
    };
    let Ok(upgrade) = upgrade else {
        return refuse(StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket only");
    };
    let upgrade = upgrade.max_message_size(LONGEST_BODY).protocols([socket::PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return refuse(StatusCode::BAD_REQUEST, "ask for the protocol graphql-transport-ws");
    }
    let Ok(place) = Arc::clone(&served.sockets).try_acquire_owned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many sockets are open; close some");
    };
    upgrade.on_upgrade(move |socket| async move {
        socket::run(socket, served.schema).await;
        drop(place);
    })
}
