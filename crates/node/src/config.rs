//! The configuration file: YAML, every key known, every error shown at its line. What the node does
//! with it is in [`crate::node`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Largest configuration file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// The whole file. `config.example.yml` says what each key means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of the event log and of files on their way in.
    pub data: PathBuf,
    /// Folder of finished music.
    pub music: PathBuf,
    /// The Soulseek account.
    pub soulseek: Soulseek,
    /// Acoustic identification.
    #[serde(default)]
    pub acoustid: AcoustId,
    /// Metadata.
    #[serde(default)]
    pub musicbrainz: MusicBrainz,
    /// The GraphQL API.
    #[serde(default)]
    pub api: Api,
}

/// Key `soulseek`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Soulseek {
    /// `host:port` of the server.
    #[serde(default = "server")]
    pub server: String,
    /// User name: at most 30 printable ASCII characters.
    pub user: String,
    /// Password; or keep it in a file of its own.
    #[serde(default)]
    pub password: Option<String>,
    /// File whose first line is the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Where other users connect.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// Uploads at the same time.
    #[serde(default = "upload_slots")]
    pub upload_slots: usize,
    /// Limit of all uploads together, in KiB per second; none when absent.
    #[serde(default)]
    pub upload_kib_per_s: Option<u64>,
    /// What other users read about you.
    #[serde(default)]
    pub description: String,
}

/// Key `acoustid`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcoustId {
    /// Address of the service.
    pub url: String,
    /// Application key. Without it nothing can be verified, and jobs say so.
    pub key: Option<String>,
}

/// Key `musicbrainz`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MusicBrainz {
    /// Address of the service.
    pub url: String,
    /// An address or page by which MusicBrainz can reach you, sent with every request as its rules
    /// ask.
    pub contact: String,
}

/// Key `api`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Where the API listens. Only loopback addresses are accepted.
    pub listen: SocketAddr,
    /// Further host names under which the API may be asked.
    pub hosts: Vec<String>,
}

fn server() -> String {
    "server.slsknet.org:2242".into()
}

fn listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 2234))
}

fn upload_slots() -> usize {
    2
}

impl Default for AcoustId {
    fn default() -> Self {
        Self { url: "https://api.acoustid.org".into(), key: None }
    }
}

impl Default for MusicBrainz {
    fn default() -> Self {
        Self { url: "https://musicbrainz.org".into(), contact: String::new() }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: DEFAULT_API, hosts: Vec::new() }
    }
}

/// Where the API listens unless told otherwise, and where the command line looks for it.
pub const DEFAULT_API: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5380);

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    #[diagnostic(help("copy config.example.yml and name it with --config"))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("{path} is not a configuration\n{detail}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the lines around it.
        detail: String,
    },
    /// There is no password.
    #[error("soulseek.password is missing in {path}")]
    #[diagnostic(help("set soulseek.password, or soulseek.password_file to keep it elsewhere"))]
    NoPassword {
        /// The file.
        path: PathBuf,
    },
}

impl Config {
    /// Reads a file. Relative folders in it are relative to the file's own folder.
    ///
    /// # Errors
    /// [`ConfigError`], with the line where there is one.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Read { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > LARGEST {
            return Err(ConfigError::Parse {
                path: path.to_owned(),
                detail: format!("it has {size} bytes; at most {LARGEST} are read"),
            });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let mut config: Self = serde_saphyr::from_str(&text).map_err(|error| {
            ConfigError::Parse { path: path.to_owned(), detail: error.to_string() }
        })?;
        let home = path.parent().unwrap_or(Path::new(""));
        for folder in [&mut config.data, &mut config.music] {
            *folder = home.join(&*folder);
        }
        if let Some(file) = &config.soulseek.password_file {
            let file = home.join(file);
            let text = std::fs::read_to_string(&file)
                .map_err(|source| ConfigError::Read { path: file, source })?;
            config.soulseek.password = text.lines().next().map(str::to_owned);
        }
        if config.soulseek.password.as_deref().unwrap_or_default().is_empty() {
            return Err(ConfigError::NoPassword { path: path.to_owned() });
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn few_keys_are_enough() {
        let config =
            read("data: d\nmusic: /m\nsoulseek:\n  user: ada\n  password: secret\n").unwrap();
        assert!(config.data.ends_with("d") && config.data.is_absolute());
        assert_eq!(config.music, Path::new("/m"));
        assert_eq!(config.api.listen, DEFAULT_API);
    }

    #[test]
    fn a_mistake_is_shown_with_its_line() {
        let error = read("data: d\nmusic: m\nsoulseek:\n  user: ada\n  pasword: x\n").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("pasword") && text.contains('5'), "{text}");
    }

    #[test]
    fn a_missing_password_is_named() {
        let error = read("data: d\nmusic: m\nsoulseek:\n  user: ada\n").unwrap_err();
        assert!(matches!(error, ConfigError::NoPassword { .. }), "{error}");
    }

    #[test]
    fn the_example_is_a_configuration() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config.example.yml");
        Config::read(&path).unwrap();
    }
    #[test]
    fn a_file_above_the_limit_is_not_read() {
        let text = format!("data: d\n# {}\n", "x".repeat(LARGEST as usize));
        let error = read(&text).unwrap_err();
        assert!(error.to_string().contains("at most"), "{error}");
    }

    #[test]
    fn names_for_names_do_not_fill_the_memory() {
        let mut text = "api:\n  hosts:\n  - &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text += &format!("  - &a{level} [{before}]\n");
        }
        assert!(matches!(read(&text), Err(ConfigError::Parse { .. })));
        assert!(matches!(read(&"[".repeat(100_000)), Err(ConfigError::Parse { .. })));
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(
            user in "[ -~]{1,30}", password in "\\PC{1,30}", slots: u16, rate: Option<u64>,
            hosts in prop::collection::vec("[a-z.]{1,20}", 0..4),
        ) {
            let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
            let hosts_text: Vec<String> = hosts.iter().map(|host| quoted(host)).collect();
            let rate_text = rate.map(|rate| format!("  upload_kib_per_s: {rate}\n")).unwrap_or_default();
            let config = read(&format!(
                "data: d\nmusic: m\nsoulseek:\n  user: {}\n  password: {}\n  upload_slots: {slots}\n\
                 {rate_text}api:\n  hosts: [{}]\n",
                quoted(&user), quoted(&password), hosts_text.join(", "),
            )).unwrap();
            prop_assert_eq!(config.soulseek.user, user);
            prop_assert_eq!(config.soulseek.password, Some(password));
            prop_assert_eq!(config.soulseek.upload_slots, usize::from(slots));
            prop_assert_eq!(config.soulseek.upload_kib_per_s, rate);
            prop_assert_eq!(config.api.hosts, hosts);
        }

        #[test]
        fn no_text_makes_it_panic(
            at in any::<prop::sample::Index>(), text in r"[\PC\n\t]{0,40}", cut in any::<prop::sample::Index>(),
        ) {
            let example = include_str!("../../../config.example.yml");
            let place = |index: prop::sample::Index| {
                (0..=index.index(example.len())).rev().find(|at| example.is_char_boundary(*at))
            };
            let (at, cut) = (place(at).unwrap_or(0), place(cut).unwrap_or(0));
            let _ = read(&format!("{}{text}{}", &example[..at], &example[at..]));
            let _ = read(&format!("{}{text}{}", &example[..at.min(cut)], &example[cut..]));
            let _ = read(&text);
        }
    }
}
