//! A Unix socket that Helios binds itself, and whose file it removes.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf, absolute};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::error::Error;
use crate::failure::text;
use crate::server::listener::{BACKLOG, Listener};

/// A listener that removes its socket's file at its end, unless another file is at the path by then.
pub(super) struct OwnUnixListener {
    /// Dropped first. While the socket is open, no other file can get its inode.
    file: OwnFile,
    listener: UnixListener,
}

struct OwnFile {
    path: PathBuf,
    id: FileId,
}

/// Device and inode.
type FileId = (u64, u64);

/// The reason why a path cannot be listened on, and what to change.
type Refusal = (io::Error, &'static str);

/// Listens on a path. Replaces a socket that nobody listens on, which a killed server leaves behind. The file's mode is
/// that of the umask, unless one is given.
pub(super) async fn listen(path: &Path, mode: Option<u32>) -> Result<OwnUnixListener, Error> {
    // The process may change its working directory.
    let bound = match absolute(path) {
        Ok(path) => bind(path, mode).await,
        Err(error) => Err(with_advice(error)),
    };
    bound.map_err(|(source, advice)| Error::Bind {
        address: format!("unix:{}", path.display()),
        source,
        advice,
    })
}

async fn bind(path: PathBuf, mode: Option<u32>) -> Result<OwnUnixListener, Refusal> {
    let socket = match bind_to(&path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            make_room(&path, error).await?;
            bind_to(&path)
        }
        bound => bound,
    };
    let socket = socket.map_err(with_advice)?;
    let file = socket_at(&path).and_then(|file| file.ok_or_else(taken));
    let file = OwnFile {
        id: file.map_err(with_advice)?,
        path,
    };
    // Nobody can connect before the socket listens.
    if let Some(mode) = mode {
        let set = fs::set_permissions(&file.path, Permissions::from_mode(mode));
        set.map_err(with_advice)?;
    }
    let listener = socket.listen(BACKLOG).map_err(with_advice)?;
    Ok(OwnUnixListener { file, listener })
}

fn bind_to(path: &Path) -> io::Result<UnixSocket> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    Ok(socket)
}

fn with_advice(error: io::Error) -> Refusal {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another server has just taken the path: start one at a time",
        io::ErrorKind::NotFound => "make the folder first",
        io::ErrorKind::PermissionDenied => "choose a folder that this user may write to",
        _ => "",
    };
    (error, advice)
}

fn taken() -> io::Error {
    io::ErrorKind::AddrInUse.into()
}

/// Removes the file at a path that is taken, if it is a socket that nobody listens on.
async fn make_room(path: &Path, in_use: io::Error) -> Result<(), Refusal> {
    let Some(file) = socket_at(path).map_err(with_advice)? else {
        return Err((
            in_use,
            "a file that is not a socket is there: move it away, or give `Helios::unix_socket` another path",
        ));
    };
    let listens =
        "another server listens there: stop it, or give `Helios::unix_socket` another path";
    match UnixStream::connect(path).await {
        Ok(_) => Err((in_use, listens)),
        // The server listens, but its backlog is full.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err((in_use, listens)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "removing the socket file that a server left behind");
            remove(path, file);
            Ok(())
        }
        Err(_) => Err((
            in_use,
            "cannot determine whether a server listens there: remove the file if none does",
        )),
    }
}

/// Returns the socket at a path, or `None` if another kind of file is there.
fn socket_at(path: &Path) -> io::Result<Option<FileId>> {
    let found = fs::symlink_metadata(path)?;
    let id = (found.dev(), found.ino());
    Ok(found.file_type().is_socket().then_some(id))
}

/// Removes the file if it is still the same.
fn remove(path: &Path, file: FileId) {
    if !matches!(socket_at(path), Ok(Some(found)) if found == file) {
        return;
    }
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(
            path = text(path.display()),
            error = text(error),
            "cannot remove the socket's file"
        );
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        remove(&self.path, self.id);
    }
}

impl Listener for OwnUnixListener {
    type Io = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
        Listener::accept(&self.listener).await
    }

    fn address(&self) -> io::Result<String> {
        Ok(format!("unix:{}", self.file.path.display()))
    }
}
