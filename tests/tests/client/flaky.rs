//! A network that loses the answer to one request: the node did what it was asked, and nobody hears of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Flaky {
    pub(crate) url: String,
    lose_next: Arc<AtomicBool>,
}

impl Flaky {
    /// Stands between a client and `node`; the answer to the next request with `marker` can be made to get lost.
    pub(crate) async fn before(node: SocketAddr, marker: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let lose_next = Arc::new(AtomicBool::new(false));
        let lose = Arc::clone(&lose_next);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, node, marker, Arc::clone(&lose)));
            }
        });
        Self { url, lose_next }
    }

    pub(crate) fn lose_the_next_answer(&self) {
        self.lose_next.store(true, Ordering::Relaxed);
    }

    /// Whether it was lost.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lose_next.load(Ordering::Relaxed)
    }
}

async fn pass_on(mut client: TcpStream, node: SocketAddr, marker: &str, lose: Arc<AtomicBool>) {
    let mut node = TcpStream::connect(node).await.unwrap();
    let (mut asked, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
    let mut is_marked = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(count @ 1..) => {
                    is_marked |= String::from_utf8_lossy(&asked[..count]).contains(marker);
                    if node.write_all(&asked[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            read = node.read(&mut answered) => match read {
                Ok(count @ 1..) => {
                    // The node has answered, so it has committed.
                    if is_marked && lose.swap(false, Ordering::Relaxed) {
                        return;
                    }
                    if client.write_all(&answered[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}
