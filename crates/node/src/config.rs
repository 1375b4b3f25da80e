//! The configuration file: YAML, every key known, every error shown at its line. What the node does
//! with it is in [`crate::node`].

use std::collections::HashSet;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};
use soulseek::Blocklist;

use crate::shares::{SharedFolder, VIRTUAL_FOLDER};

/// Largest file that is read for a configuration or a password, in bytes.
const LARGEST: u64 = 256 * 1024;

/// Longest user name that Soulseek servers take, in bytes.
const LONGEST_USER: usize = 30;

/// Longest name of a share, in bytes.
const LONGEST_SHARE: usize = 100;

/// The whole file. `config.example.yml` says what each key means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of the event log and of files on their way in.
    pub data: PathBuf,
    /// Folder of finished music.
    pub music: PathBuf,
    /// Folders that are shared beside it.
    #[serde(default, deserialize_with = "shared_folders")]
    pub shares: Vec<SharedFolder>,
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
    #[serde(default = "server", deserialize_with = "host_and_port")]
    pub server: String,
    /// User name: at most 30 printable ASCII characters.
    #[serde(deserialize_with = "user_name")]
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
    /// The port that others see, where it is another than that of `listen`.
    #[serde(default)]
    pub advertised_port: Option<NonZeroU16>,
    /// A second port, for clients that obfuscate what they say.
    #[serde(default)]
    pub obfuscated_port: Option<NonZeroU16>,
    /// Uploads at the same time.
    #[serde(default = "upload_slots")]
    pub upload_slots: NonZeroUsize,
    /// Limit of all uploads together, in KiB per second; none when absent.
    #[serde(default)]
    pub upload_kib_per_s: Option<u64>,
    /// Limit of all downloads together, in KiB per second; none when absent.
    #[serde(default)]
    pub download_kib_per_s: Option<u64>,
    /// Files that one user may have waiting.
    #[serde(default = "waiting_files_per_user")]
    pub waiting_files_per_user: NonZeroUsize,
    /// MiB that one user may have waiting before more has to be asked for later.
    #[serde(default = "waiting_mib_per_user")]
    pub waiting_mib_per_user: NonZeroU64,
    /// Whether finished music is shared.
    #[serde(default = "yes")]
    pub share_finished: bool,
    /// Users, addresses and ranges of addresses that get nothing of us.
    #[serde(default, deserialize_with = "blocklist")]
    pub banned: Blocklist,
    /// Users, addresses and ranges of addresses whose search answers are dropped.
    #[serde(default, deserialize_with = "blocklist")]
    pub ignored: Blocklist,
    /// What other users read about you.
    #[serde(default)]
    pub description: String,
    /// Users who may see and fetch what is shared with buddies only.
    #[serde(default)]
    pub buddies: Vec<String>,
}

/// Key `acoustid`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcoustId {
    /// Address of the service.
    #[serde(deserialize_with = "service_address")]
    pub url: String,
    /// Application key. Without it nothing can be verified, and jobs say so.
    pub key: Option<String>,
}

/// Key `musicbrainz`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MusicBrainz {
    /// Address of the service.
    #[serde(deserialize_with = "service_address")]
    pub url: String,
    /// An address or page by which MusicBrainz can reach you, sent with every request as its rules
    /// ask. Printable ASCII.
    #[serde(deserialize_with = "header_text")]
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

fn upload_slots() -> NonZeroUsize {
    const { NonZeroUsize::new(2).expect("2 is not 0") }
}

fn waiting_files_per_user() -> NonZeroUsize {
    const { NonZeroUsize::new(1_000).expect("1000 is not 0") }
}

fn waiting_mib_per_user() -> NonZeroU64 {
    const { NonZeroU64::new(50 << 10).expect("51200 is not 0") }
}

fn yes() -> bool {
    true
}

fn blocklist<'de, D: Deserializer<'de>>(from: D) -> Result<Blocklist, D::Error> {
    Blocklist::parse(Vec::<String>::deserialize(from)?).map_err(de::Error::custom)
}

fn host_and_port<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    checked(from, |server| {
        let host_and_port = server.rsplit_once(':').filter(|(host, port)| {
            // The colons of an IPv6 address stand within brackets.
            let literal = host.starts_with('[') && server.parse::<SocketAddr>().is_ok();
            let name = !host.is_empty() && !host.contains(|c: char| c == ':' || c.is_whitespace());
            (literal || name) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        let wrong = || format!("{server:?} is not host:port, such as server.slsknet.org:2242");
        host_and_port.map(drop).ok_or_else(wrong)
    })
}

fn user_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    checked(from, |user| {
        let fits = (1..=LONGEST_USER).contains(&user.len());
        if fits && is_printable_ascii(user) && user.trim() == user {
            return Ok(());
        }
        Err(format!(
            "{user:?} is not a user name: 1 to {LONGEST_USER} printable ASCII characters, no space at \
             either end"
        ))
    })
}

/// One of `shares`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    path: PathBuf,
    name: String,
    #[serde(default)]
    buddies_only: bool,
}

/// Names are what others see and ask by, so they differ and have nothing in them that separates.
fn shared_folders<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SharedFolder>, D::Error> {
    let shares = Vec::<Share>::deserialize(from)?;
    let mut names = HashSet::from([VIRTUAL_FOLDER.to_lowercase()]);
    for Share { name, .. } in &shares {
        let strange = |letter: char| letter.is_control() || matches!(letter, '\\' | '/');
        if name.trim() != name
            || !(1..=LONGEST_SHARE).contains(&name.len())
            || name.starts_with('.')
            || name.contains(strange)
        {
            return Err(de::Error::custom(format!(
                "{name:?} is not the name of a share: 1 to {LONGEST_SHARE} bytes, no slash, no space at \
                 either end, no dot in front"
            )));
        }
        if !names.insert(name.to_lowercase()) {
            return Err(de::Error::custom(format!(
                "{name:?} is taken: shares have names of their own, and {VIRTUAL_FOLDER:?} is finished \
                 music"
            )));
        }
    }
    let folder = |Share { path, name, buddies_only }| SharedFolder { path, name, buddies_only };
    Ok(shares.into_iter().map(folder).collect())
}

fn service_address<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    checked(from, metadata::check_address)
}

fn header_text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    checked(from, |text| {
        is_printable_ascii(text)
            .then_some(())
            .ok_or_else(|| format!("{text:?} cannot be sent: only printable ASCII can"))
    })
}

fn is_printable_ascii(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A text that is refused where it stands, so that the line can be shown.
fn checked<'de, D: Deserializer<'de>, E: Display>(
    from: D,
    check: impl FnOnce(&str) -> Result<(), E>,
) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    check(&text).map_err(de::Error::custom)?;
    Ok(text)
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
        source: io::Error,
    },
    /// The file with the password cannot be used.
    #[error("cannot use the password file {path}: {reason}")]
    #[diagnostic(help(
        "soulseek.password_file names a file whose first line is the password; a relative name is \
         relative to the configuration's folder"
    ))]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: ReadError,
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

/// Why a file was not read as text.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It goes on and on.
    #[error("it has more than {LARGEST} bytes")]
    TooLarge,
    /// It is not text.
    #[error("line {0} is not UTF-8")]
    NotUtf8(usize),
}

impl Config {
    /// Reads a file. Relative folders in it are relative to the file's own folder.
    ///
    /// # Errors
    /// [`ConfigError`], with the line where there is one.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path).map_err(|error| match error {
            ReadError::Io(source) => ConfigError::Read { path: path.to_owned(), source },
            error => ConfigError::Parse { path: path.to_owned(), detail: error.to_string() },
        })?;
        let mut config: Self = serde_saphyr::from_str(&text).map_err(|error| {
            ConfigError::Parse { path: path.to_owned(), detail: error.to_string() }
        })?;
        let home = path.parent().unwrap_or(Path::new(""));
        let shared = config.shares.iter_mut().map(|share| &mut share.path);
        for folder in [&mut config.data, &mut config.music].into_iter().chain(shared) {
            *folder = home.join(&*folder);
        }
        if let Some(file) = &config.soulseek.password_file {
            let file = home.join(file);
            let text = read_text(&file)
                .map_err(|reason| ConfigError::PasswordFile { path: file, reason })?;
            config.soulseek.password = text.lines().next().map(str::to_owned);
        }
        if config.soulseek.password.as_deref().unwrap_or_default().is_empty() {
            return Err(ConfigError::NoPassword { path: path.to_owned() });
        }
        Ok(config)
    }
}

/// Reads a whole file. What it says of its size is not believed: devices say zero.
fn read_text(path: &Path) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(ReadError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        ReadError::NotUtf8(before.iter().filter(|byte| **byte == b'\n').count() + 1)
    })
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
    fn shares_have_sane_names_of_their_own() {
        let with = |shares: &str| read(&format!("{USABLE}shares:\n{shares}"));
        let config = with("- {path: /a, name: A}\n- {path: b, name: B, buddies_only: true}\n");
        let shares = config.unwrap().shares;
        assert!(shares[1].buddies_only && shares[1].path.is_absolute());
        for (shares, words) in [
            ("- {path: /a, name: A}\n- {path: /b, name: a}\n", "\"a\" is taken"),
            ("- {path: /a, name: music}\n", "finished music"),
            ("- {path: /a, name: ''}\n", "not the name of a share"),
            ("- {path: /a, name: '..'}\n", "not the name of a share"),
            ("- {path: /a, name: 'a\\b'}\n", "not the name of a share"),
            ("- {path: /a, name: A, buddies: true}\n", "buddies"),
        ] {
            let text = with(shares).unwrap_err().to_string();
            assert!(text.contains(words), "{text}");
        }
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

    const USABLE: &str = "data: d\nmusic: m\nsoulseek:\n  user: ada\n  password: x\n";

    #[test]
    fn a_value_that_cannot_be_used_is_shown_with_its_line() {
        let long = format!("user: {}", "a".repeat(31));
        for (line, words) in [
            ("server: nonsense", "host:port"),
            ("server: ':2242'", "host:port"),
            ("server: example.org:0", "host:port"),
            ("server: example.org:70000", "host:port"),
            ("server: ::1:2242", "host:port"),
            ("user: ''", "user name"),
            ("user: ' ada'", "user name"),
            ("user: ád", "user name"),
            ("user: \"a\\tb\"", "user name"),
            (&long, "user name"),
            ("upload_slots: 0", "0"),
            ("waiting_files_per_user: 0", "0"),
            ("banned: [mallory, 192.0.2.0/33]", "range of addresses"),
            ("ignored: ['::/x']", "range of addresses"),
        ] {
            let (key, _) = line.split_once(':').unwrap();
            let other = if key == "user" { "description: y" } else { "user: ada" };
            let text =
                format!("data: d\nmusic: m\nsoulseek:\n  {other}\n  {line}\n  password: x\n");
            let said = read(&text).unwrap_err().to_string();
            assert!(said.contains(words) && said.contains("5:") && said.contains(line), "{said}");
        }
        for line in
            ["url: musicbrainz.org", "url: ftp://example.org", "url: http://example.org/?a=b"]
        {
            for service in ["acoustid", "musicbrainz"] {
                let said =
                    read(&format!("{USABLE}{service}:\n  {line}\n")).unwrap_err().to_string();
                assert!(said.contains("https address") && said.contains("7:"), "{said}");
            }
        }
        let said =
            read(&format!("{USABLE}musicbrainz:\n  contact: Zoë\n")).unwrap_err().to_string();
        assert!(said.contains("printable ASCII") && said.contains("7:"), "{said}");
    }

    #[test]
    fn servers_are_named_or_numbered() {
        for server in ["example.org:2242", "127.0.0.1:1", "'[::1]:2242'"] {
            read(&format!("{USABLE}  server: {server}\n")).unwrap();
        }
    }

    #[test]
    fn what_is_no_text_or_has_no_end_is_not_read() {
        let endless = Config::read(Path::new("/dev/zero")).unwrap_err();
        assert!(endless.to_string().contains("more than 262144 bytes"), "{endless}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yml");
        std::fs::write(&path, b"data: d\nmusic: m\n# caf\xe9\n").unwrap();
        let latin = Config::read(&path).unwrap_err();
        assert!(latin.to_string().contains("line 3 is not UTF-8"), "{latin}");
    }

    #[test]
    fn a_password_file_is_read_to_its_first_line_and_named_when_it_cannot_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yml");
        let with = |file: &str| {
            let text =
                format!("data: d\nmusic: m\nsoulseek:\n  user: a\n  password_file: {file}\n");
            std::fs::write(&path, text).unwrap();
            Config::read(&path)
        };
        std::fs::write(dir.path().join("secret"), "hush\nnothing\n").unwrap();
        assert_eq!(with("secret").unwrap().soulseek.password.as_deref(), Some("hush"));
        for (file, words) in [("none", "No such file"), ("/dev/zero", "more than 262144 bytes")] {
            let error = with(file).unwrap_err();
            let help = miette::Diagnostic::help(&error).unwrap().to_string();
            assert!(error.to_string().contains(words), "{error}");
            assert!(help.contains("password_file") && !help.contains("example"), "{help}");
        }
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
        assert!(error.to_string().contains("more than"), "{error}");
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
            user in "[!-~]([ -~]{0,28}[!-~])?", password in "\\PC{1,30}", slots in 1u16.., rate: Option<u64>,
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
            prop_assert_eq!(config.soulseek.upload_slots.get(), usize::from(slots));
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
