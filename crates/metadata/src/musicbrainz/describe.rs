//! Reads MusicBrainz's JSON of a release as a [`Target`]. Tolerant about what may be unknown (dates,
//! labels, lengths), strict about identities: a track that cannot be told apart would make an album
//! that looks complete and is not. Asks nobody; the request is in [`super`].

use std::fmt;

use domain::id::{ArtistId, NotAnMbid, ReleaseGroupId};
use domain::observation::LookupFault;
use domain::target::{Credit, Target, Track};
use serde::Deserialize;

/// MusicBrainz's reserved title for data on a medium that also holds music.
const DATA_TRACK: &str = "[data track]";

/// MusicBrainz's reserved title for music that has none.
const UNTITLED: &str = "[untitled]";

/// A release as described, and what of it is not sought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// What is to be found.
    pub target: Target,
    /// Listed on the release and left out of the target.
    pub ignored: Vec<Ignored>,
}

/// A track that is not sought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Medium, counted from 1.
    pub medium: u16,
    /// Position on the medium; 0 for what hides before the first track.
    pub position: u16,
    /// Its title, as far as known.
    pub title: String,
    /// Why it is not sought.
    pub reason: IgnoreReason,
}

/// Why a track is not sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoreReason {
    /// It hides in the gap before the first track, and shared files hardly ever have it.
    Pregap,
    /// It is data, not sound.
    Data,
    /// It is a video.
    Video,
}

impl fmt::Display for IgnoreReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pregap => "hidden before the first track",
            Self::Data => "data, not sound",
            Self::Video => "video",
        })
    }
}

/// Reads an answer to `release/<id>?inc=recordings+artist-credits+labels+isrcs+release-groups`.
///
/// # Errors
/// [`LookupFault::Malformed`], with the first thing that is not as documented.
pub fn describe(json: &[u8]) -> Result<Described, LookupFault> {
    let release: Release = serde_json::from_slice(json).map_err(|error| malformed(&error))?;
    let credit = credit(release.artist_credit.as_deref()).unwrap_or_default();
    let media = release.media.ok_or_else(|| malformed(&"no media, not even an empty list"))?;
    let mut ignored = Vec::new();
    let mut tracks = Vec::new();
    for (index, medium) in media.iter().enumerate() {
        let number = place(medium.position, index, "medium")?;
        sound_tracks(medium, number, &credit, &mut tracks, &mut ignored)?;
    }
    // Tracks are numbered with 16 bits from here on.
    if u16::try_from(tracks.len()).is_err() {
        return Err(malformed(&format_args!("{} tracks", tracks.len())));
    }
    let target = Target {
        release: identity(release.id.as_deref(), || "the release".to_owned())?,
        group: group(release.release_group)?,
        title: release.title.filter(|title| !title.is_empty()).unwrap_or_else(untitled),
        credit,
        date: release.date.filter(|date| is_date(date)).unwrap_or_default(),
        country: release.country.unwrap_or_default(),
        label: first_label(release.label_info),
        barcode: release.barcode.unwrap_or_default(),
        media: u16::try_from(media.len())
            .map_err(|_| malformed(&format_args!("{} media", media.len())))?,
        tracks,
    };
    Ok(Described { target, ignored })
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Release {
    id: Option<String>,
    title: Option<String>,
    artist_credit: Option<Vec<CreditPart>>,
    release_group: Option<ReleaseGroup>,
    date: Option<String>,
    country: Option<String>,
    label_info: Option<Vec<LabelInfo>>,
    barcode: Option<String>,
    media: Option<Vec<Medium>>,
}

#[derive(Deserialize)]
struct CreditPart {
    name: Option<String>,
    joinphrase: Option<String>,
    artist: Option<Artist>,
}

#[derive(Deserialize)]
struct Artist {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct ReleaseGroup {
    id: Option<String>,
}

#[derive(Deserialize)]
struct LabelInfo {
    label: Option<Label>,
}

#[derive(Deserialize)]
struct Label {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Medium {
    position: Option<u16>,
    track_count: Option<u64>,
    pregap: Option<Listed>,
    tracks: Option<Vec<Listed>>,
    data_tracks: Option<Vec<Listed>>,
}

/// A track as a medium lists it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Listed {
    id: Option<String>,
    position: Option<u16>,
    title: Option<String>,
    length: Option<u64>,
    artist_credit: Option<Vec<CreditPart>>,
    recording: Option<Recording>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Recording {
    id: Option<String>,
    title: Option<String>,
    length: Option<u64>,
    video: Option<bool>,
    isrcs: Option<Vec<String>>,
    artist_credit: Option<Vec<CreditPart>>,
}

/// Adds the tracks of a medium that are sought to `tracks` and the others to `ignored`.
fn sound_tracks(
    medium: &Medium,
    number: u16,
    release_credit: &Credit,
    tracks: &mut Vec<Track>,
    ignored: &mut Vec<Ignored>,
) -> Result<(), LookupFault> {
    let listed = medium.tracks.as_deref().unwrap_or_default();
    let data = medium.data_tracks.as_deref().unwrap_or_default();
    // A medium may be listed without its tracks where they are unknown, but then it counts none.
    if listed.is_empty() && data.is_empty() && medium.pregap.is_none() {
        let count = medium.track_count.unwrap_or(0);
        if count > 0 {
            let what = format_args!("medium {number} has {count} tracks and lists none");
            return Err(malformed(&what));
        }
    }
    let ignore = |track: &Listed, position, reason| Ignored {
        medium: number,
        position,
        title: track.title().to_owned(),
        reason,
    };
    if let Some(pregap) = &medium.pregap {
        ignored.push(ignore(pregap, 0, IgnoreReason::Pregap));
    }
    for (index, track) in listed.iter().enumerate() {
        if track.position == Some(0) {
            ignored.push(ignore(track, 0, IgnoreReason::Pregap));
            continue;
        }
        let position = place(track.position, index, "track")?;
        if let Some(reason) = track.silent() {
            ignored.push(ignore(track, position, reason));
            continue;
        }
        tracks.push(sound_track(track, number, position, release_credit)?);
    }
    for (index, track) in data.iter().enumerate() {
        let position = place(track.position, listed.len() + index, "data track")?;
        ignored.push(ignore(track, position, IgnoreReason::Data));
    }
    Ok(())
}

fn sound_track(
    track: &Listed,
    medium: u16,
    position: u16,
    release_credit: &Credit,
) -> Result<Track, LookupFault> {
    let recording = track.recording.as_ref();
    let here = |what: &str| format!("{what} of track {medium}-{position}");
    let known = |length: &u64| *length > 0;
    Ok(Track {
        id: identity(track.id.as_deref(), || here("the listing"))?,
        recording: identity(recording.and_then(|recording| recording.id.as_deref()), || {
            here("the recording")
        })?,
        medium,
        position,
        title: Some(track.title()).filter(|title| !title.is_empty()).unwrap_or(UNTITLED).to_owned(),
        credit: credit(track.artist_credit.as_deref())
            .or_else(|| credit(recording.and_then(|recording| recording.artist_credit.as_deref())))
            .unwrap_or_else(|| release_credit.clone()),
        duration_ms: track
            .length
            .filter(known)
            .or_else(|| recording.and_then(|recording| recording.length).filter(known)),
        isrcs: recording.and_then(|recording| recording.isrcs.clone()).unwrap_or_default(),
    })
}

impl Listed {
    /// The title on this release, or the recording's; empty when neither is known.
    fn title(&self) -> &str {
        let recording = self.recording.as_ref().and_then(|recording| recording.title.as_deref());
        self.title.as_deref().filter(|title| !title.is_empty()).or(recording).unwrap_or_default()
    }

    /// Why this cannot be found as a file of sound, if it cannot.
    fn silent(&self) -> Option<IgnoreReason> {
        let recording = self.recording.as_ref();
        if recording.and_then(|recording| recording.video).unwrap_or(false) {
            return Some(IgnoreReason::Video);
        }
        (self.title() == DATA_TRACK).then_some(IgnoreReason::Data)
    }
}

/// Names and their join phrases, verbatim and in order; `None` when no name is known.
fn credit(parts: Option<&[CreditPart]>) -> Option<Credit> {
    let mut credit = Credit::default();
    for part in parts? {
        let artist = part.artist.as_ref();
        let name =
            part.name.as_deref().or_else(|| artist.and_then(|artist| artist.name.as_deref()));
        credit.name.push_str(name.unwrap_or_default());
        credit.name.push_str(part.joinphrase.as_deref().unwrap_or_default());
        // The name is what is searched for and printed; an artist without identity is still one.
        let id = artist.and_then(|artist| artist.id.as_deref()?.parse::<ArtistId>().ok());
        credit.artists.extend(id);
    }
    Some(credit).filter(|credit| !credit.name.is_empty())
}

fn group(group: Option<ReleaseGroup>) -> Result<Option<ReleaseGroupId>, LookupFault> {
    group
        .and_then(|group| group.id)
        .map(|id| identity(Some(&id), || "the release group".to_owned()))
        .transpose()
}

fn first_label(labels: Option<Vec<LabelInfo>>) -> String {
    labels
        .unwrap_or_default()
        .into_iter()
        .filter_map(|info| info.label?.name)
        .find(|name| !name.is_empty())
        .unwrap_or_default()
}

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`. MusicBrainz also knows dates without a year; they are of no
/// use here.
fn is_date(text: &str) -> bool {
    let digits =
        |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = text.split('-');
    parts.next().is_some_and(|year| digits(year, 4))
        && parts.clone().count() <= 2
        && parts.all(|part| digits(part, 2))
}

/// A position as told, or by order when it is not told.
fn place(told: Option<u16>, index: usize, what: &str) -> Result<u16, LookupFault> {
    told.or_else(|| u16::try_from(index + 1).ok())
        .ok_or_else(|| malformed(&format_args!("{what} number {index}")))
}

fn identity<T: std::str::FromStr<Err = NotAnMbid>>(
    text: Option<&str>,
    whose: impl FnOnce() -> String,
) -> Result<T, LookupFault> {
    match text {
        None => Err(malformed(&format_args!("{} has no ID", whose()))),
        Some(text) => {
            text.parse().map_err(|error| malformed(&format_args!("{}: {error}", whose())))
        }
    }
}

fn untitled() -> String {
    UNTITLED.to_owned()
}

fn malformed(what: &dyn fmt::Display) -> LookupFault {
    LookupFault::Malformed(what.to_string())
}
