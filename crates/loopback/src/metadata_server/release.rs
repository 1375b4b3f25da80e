//! `GET /ws/2/release/<id>`: a release of the catalogue in MusicBrainz's shape. Like the real
//! service it tells only what `inc` asks for, so a client that forgets to ask finds out here.
//!
//! <https://musicbrainz.org/doc/MusicBrainz_API>

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::target::Credit;
use domain::{ReleaseId, Target, Track};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Faults, World, names_itself};

#[derive(Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    inc: String,
    #[serde(default)]
    fmt: String,
}

pub(super) async fn answer(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    let mut faults = world.faults();
    if !names_itself(&headers) {
        return faults.answer(StatusCode::FORBIDDEN, trouble("name your program in User-Agent"));
    }
    if world.releases.is_too_soon(Instant::now()) && faults.limit_rate {
        let words = "Your requests are exceeding the allowable rate limit.";
        return faults.answer(StatusCode::SERVICE_UNAVAILABLE, trouble(words));
    }
    if let Some(status) = Faults::next(&mut faults.release_status) {
        let words = status.canonical_reason().unwrap_or("Error");
        return faults.answer(status, trouble(words));
    }
    drop(faults);
    if parameters.fmt != "json" {
        let words = "only JSON is spoken here; ask with fmt=json";
        return (StatusCode::NOT_ACCEPTABLE, trouble(words)).into_response();
    }
    let Ok(id) = id.parse::<ReleaseId>() else {
        return (StatusCode::BAD_REQUEST, trouble("Invalid mbid.")).into_response();
    };
    match world.catalogue.releases.iter().find(|target| target.release == id) {
        None => (StatusCode::NOT_FOUND, trouble("Not Found")).into_response(),
        Some(target) => Json(release(target, &Wanted::read(&parameters.inc))).into_response(),
    }
}

fn trouble(words: &str) -> Json<Value> {
    let help = "For usage, please see: https://musicbrainz.org/development/mmd";
    Json(json!({ "error": words, "help": help }))
}

/// What `inc` asks for.
struct Wanted {
    recordings: bool,
    credits: bool,
    labels: bool,
    isrcs: bool,
    group: bool,
    media: bool,
}

impl Wanted {
    fn read(inc: &str) -> Self {
        // A plus sign in an address is a space by the time it gets here; some clients send it encoded.
        let asked = |name| inc.split([' ', '+']).any(|part| part == name);
        Self {
            recordings: asked("recordings"),
            credits: asked("artist-credits"),
            labels: asked("labels"),
            isrcs: asked("isrcs"),
            group: asked("release-groups"),
            media: asked("media") || asked("recordings"),
        }
    }
}

fn release(target: &Target, wanted: &Wanted) -> Value {
    let mut release = json!({
        "id": target.release.to_string(),
        "title": target.title,
        "date": known(&target.date),
        "country": known(&target.country),
        "barcode": known(&target.barcode),
        "status": "Official",
        "quality": "normal",
        "packaging": null,
        "disambiguation": "",
        "text-representation": { "language": null, "script": null },
    });
    if wanted.credits {
        release["artist-credit"] = credit(&target.credit);
    }
    if wanted.labels {
        release["label-info"] = match target.label.as_str() {
            "" => json!([]),
            name => {
                json!([{ "catalog-number": null, "label": { "name": name, "sort-name": name } }])
            }
        };
    }
    if wanted.group {
        release["release-group"] = target.group.map_or(Value::Null, |group| {
            json!({
                "id": group.to_string(),
                "title": target.title,
                "primary-type": "Album",
                "secondary-types": [],
                "first-release-date": target.date,
            })
        });
    }
    if wanted.media {
        release["media"] = media(target, wanted);
    }
    release
}

fn media(target: &Target, wanted: &Wanted) -> Value {
    // A medium whose tracks are unknown is listed too, with none.
    let mut media: BTreeMap<u16, Vec<&Track>> =
        (1..=target.media).map(|number| (number, Vec::new())).collect();
    for track in &target.tracks {
        media.entry(track.medium).or_default().push(track);
    }
    let described = media.into_iter().map(|(number, tracks)| {
        let mut medium = json!({
            "position": number,
            "format": "Digital Media",
            "title": "",
            "track-count": tracks.len(),
        });
        if wanted.recordings {
            medium["track-offset"] = 0.into();
            medium["tracks"] = tracks.into_iter().map(|one| track(one, wanted)).collect();
        }
        medium
    });
    described.collect()
}

fn track(track: &Track, wanted: &Wanted) -> Value {
    let mut recording = json!({
        "id": track.recording.to_string(),
        "title": track.title,
        "length": track.duration_ms,
        "disambiguation": "",
        "video": false,
    });
    if wanted.isrcs {
        recording["isrcs"] = json!(track.isrcs);
    }
    let mut listed = json!({
        "id": track.id.to_string(),
        "number": track.position.to_string(),
        "position": track.position,
        "title": track.title,
        "length": track.duration_ms,
    });
    if wanted.credits {
        recording["artist-credit"] = credit(&track.credit);
        listed["artist-credit"] = credit(&track.credit);
    }
    listed["recording"] = recording;
    listed
}

/// The whole name stands with the first artist: a [`Credit`] does not tell which part of its name is
/// whose, and a reader that joins the parts gets the name back.
fn credit(credit: &Credit) -> Value {
    let part =
        |name: &str, artist: Value| json!({ "name": name, "joinphrase": "", "artist": artist });
    if credit.artists.is_empty() && !credit.name.is_empty() {
        return json!([part(&credit.name, Value::Null)]);
    }
    let parts = credit.artists.iter().enumerate().map(|(index, id)| {
        let name = if index == 0 { credit.name.as_str() } else { "" };
        part(name, json!({ "id": id.to_string(), "name": name, "sort-name": name }))
    });
    parts.collect()
}

/// MusicBrainz says `null` where a [`Target`] is empty.
fn known(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}
