//! Takes a copy of a running node's log: its API sends an archive, which is unpacked while it comes and
//! checked when it is there. A copy of a log that no node uses is made by [`crate::log`].

use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use domain::Seq;
use eventlog::backup::{self, Folder};

use crate::client::{refused, unreachable};

/// Copies the log of the node at `api` to the empty or absent folder `to`; the last event of the copy.
pub(crate) fn take(api: SocketAddr, to: &Path) -> anyhow::Result<Seq> {
    // A log may be large, and the disk below the copy slow.
    let http = reqwest::blocking::Client::builder()
        .timeout(None)
        .connect_timeout(Duration::from_secs(15))
        .build()?;
    let answer = http
        .get(format!("http://{api}/api/v0/log/backup"))
        .send()
        .map_err(|error| unreachable(api, &error))?;
    if !answer.status().is_success() {
        return Err(refused(&answer.text().unwrap_or_default()));
    }
    // Not before there is something to fill it with.
    let copy = Folder::begin(to)?;
    let whole = unpack(answer, &copy).map_err(anyhow::Error::from).and_then(|()| {
        copy.finish()?;
        Ok(backup::open(to)?.verify()?)
    });
    let verified = whole.with_context(|| {
        format!("the copy in {} is not whole; remove it and take another", to.display())
    })?;
    Ok(Seq(verified.events))
}

fn unpack(archive: impl Read, copy: &Folder) -> io::Result<()> {
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        copy.add(&path.to_string_lossy(), entry)?;
    }
    Ok(())
}
