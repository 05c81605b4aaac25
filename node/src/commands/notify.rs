//! Telling systemd how far the node is (sd_notify(3)), for units of `Type=notify`. Without systemd nothing happens.

#[cfg(unix)]
use std::os::unix::net::UnixDatagram;

/// What systemd is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// It listens.
    Ready,
    /// It lets everyone leave.
    Stopping,
}

/// Tells, if anybody wants to know. That it cannot be told is no reason not to serve.
pub(super) fn tell(stage: Stage) {
    let text = match stage {
        Stage::Ready => "READY=1",
        Stage::Stopping => "STOPPING=1",
    };
    #[cfg(unix)]
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, text)
    {
        tracing::warn!(%error, "systemd cannot be told");
    }
    #[cfg(not(unix))]
    let _ = text;
}

#[cfg(unix)]
fn send(socket: &std::ffi::OsStr, text: &str) -> std::io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let datagram = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt as _;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        datagram.send_to_addr(text.as_bytes(), &address)?;
        return Ok(());
    }
    datagram.send_to(text.as_bytes(), socket)?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn whoever_listens_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), "READY=1").unwrap();
        let mut heard = [0; 32];
        let length = systemd.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1");
        assert!(send(folder.path().join("nobody").as_os_str(), "READY=1").is_err());
    }
}
