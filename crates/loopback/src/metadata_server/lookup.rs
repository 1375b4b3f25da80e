//! `POST /v2/lookup`: what sounds like a submitted fingerprint, in AcoustID's shape. The comparison
//! itself is the [`super::Scorer`] that the server was started with.
//!
//! <https://acoustid.org/webservice>

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Form;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::RecordingId;
use domain::id::AcoustId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Faults, KnownSound, World, names_itself};

/// AcoustID does not report what is less alike than this.
const LEAST_SCORE_PPM: u32 = 400_000;

/// A recording whose length differs by more than this is not compared at all.
const LENGTH_TOLERANCE_S: u64 = 7;

/// AcoustID's numbers for what can go wrong here.
mod code {
    pub(super) const MISSING_PARAMETER: u32 = 2;
    pub(super) const INVALID_FINGERPRINT: u32 = 3;
    pub(super) const INVALID_KEY: u32 = 4;
    pub(super) const INTERNAL: u32 = 5;
    pub(super) const NOT_ALLOWED: u32 = 12;
    pub(super) const UNAVAILABLE: u32 = 13;
    pub(super) const TOO_MANY_REQUESTS: u32 = 14;
}

#[derive(Deserialize)]
pub(super) struct Submitted {
    #[serde(default)]
    client: String,
    #[serde(default)]
    fingerprint: String,
    duration: Option<u64>,
    #[serde(default)]
    meta: String,
}

pub(super) async fn answer(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    form: Result<Form<Submitted>, FormRejection>,
) -> Response {
    let mut faults = world.faults();
    if !names_itself(&headers) {
        let words = "name your program in User-Agent";
        return faults.answer(StatusCode::FORBIDDEN, trouble(code::NOT_ALLOWED, words));
    }
    if world.lookups.is_too_soon(Instant::now()) && faults.limit_rate {
        return wrong(&faults, StatusCode::TOO_MANY_REQUESTS);
    }
    if let Some(status) = Faults::next(&mut faults.lookup_status) {
        return wrong(&faults, status);
    }
    drop(faults);
    let bad = |code, words| (StatusCode::BAD_REQUEST, trouble(code, words)).into_response();
    let Ok(Form(submitted)) = form else {
        return bad(code::MISSING_PARAMETER, "the request is no form");
    };
    if submitted.client.is_empty() {
        return bad(code::MISSING_PARAMETER, "missing required parameter \"client\"");
    }
    let Some(duration_s) = submitted.duration else {
        return bad(code::MISSING_PARAMETER, "missing required parameter \"duration\"");
    };
    match matches(&world, &submitted.fingerprint, duration_s) {
        None => bad(code::INVALID_FINGERPRINT, "invalid fingerprint"),
        Some(found) => {
            let with_recordings = submitted
                .meta
                .split([' ', '+'])
                .any(|part| matches!(part, "recordings" | "recordingids"));
            let results: Vec<_> =
                found.into_iter().map(|one| one.describe(with_recordings)).collect();
            Json(json!({ "status": "ok", "results": results })).into_response()
        }
    }
}

/// One AcoustID that sounds like what was submitted.
struct Found {
    acoustid: AcoustId,
    score_ppm: u32,
    recordings: Vec<RecordingId>,
}

impl Found {
    fn describe(&self, with_recordings: bool) -> Value {
        let mut result = json!({
            "id": self.acoustid.to_string(),
            "score": f64::from(self.score_ppm) / 1e6,
        });
        if with_recordings && !self.recordings.is_empty() {
            let linked = |id: &RecordingId| json!({ "id": id.to_string() });
            result["recordings"] = self.recordings.iter().map(linked).collect();
        }
        result
    }
}

/// Best first; `None` when what was submitted is no fingerprint.
fn matches(world: &World, fingerprint: &str, duration_s: u64) -> Option<Vec<Found>> {
    let mut found: BTreeMap<AcoustId, Found> = BTreeMap::new();
    for sound in &world.catalogue.sounds {
        let score_ppm = (world.scorer)(fingerprint, &sound.fingerprint)?;
        if score_ppm < LEAST_SCORE_PPM || !is_as_long(world, sound, duration_s) {
            continue;
        }
        let KnownSound { recording, acoustid, .. } = *sound;
        let one =
            found.entry(acoustid).or_insert(Found { acoustid, score_ppm, recordings: Vec::new() });
        one.score_ppm = one.score_ppm.max(score_ppm);
        if !one.recordings.contains(&recording) {
            one.recordings.push(recording);
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|one| std::cmp::Reverse(one.score_ppm));
    Some(found)
}

/// The length of a known sound is that of its track; where no release has it, any length goes.
fn is_as_long(world: &World, sound: &KnownSound, duration_s: u64) -> bool {
    world
        .catalogue
        .releases
        .iter()
        .flat_map(|release| &release.tracks)
        .find(|track| track.recording == sound.recording)
        .and_then(|track| track.duration_ms)
        .is_none_or(|ms| (ms / 1000).abs_diff(duration_s) <= LENGTH_TOLERANCE_S)
}

/// The answer that goes with a status chosen by [`Faults`].
fn wrong(faults: &Faults, status: StatusCode) -> Response {
    let (code, words) = match status {
        StatusCode::TOO_MANY_REQUESTS => (
            code::TOO_MANY_REQUESTS,
            "rate limit (3 requests per second) exceeded, try again later",
        ),
        StatusCode::SERVICE_UNAVAILABLE => (code::UNAVAILABLE, "service currently unavailable"),
        status if status.is_server_error() => (code::INTERNAL, "internal error"),
        _ => (code::INVALID_KEY, "invalid API key"),
    };
    faults.answer(status, trouble(code, words))
}

fn trouble(code: u32, words: &str) -> Json<Value> {
    Json(json!({ "status": "error", "error": { "code": code, "message": words } }))
}
