//! The app's own services as a test plays them: a server that answers as it is told, well or badly.

#![expect(dead_code, reason = "each test file uses its part")]

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Json(String),
    Status(u16),
    Redirect(String),
    /// Takes the request and says nothing until it is told something else; then it does that.
    Hang,
    /// A body of 1 GiB, unless the other side has enough earlier.
    Endless,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct App {
    pub(crate) url: String,
    answer: watch::Sender<Answer>,
    asked: watch::Sender<Vec<Request>>,
    /// Bytes that an endless answer got rid of.
    pub(crate) sent: Arc<Mutex<u64>>,
}

impl App {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let app =
            Self { url, answer: watch::Sender::new(answer), asked: watch::Sender::new(vec![]), sent: Arc::default() };
        let (answer, asked, sent) = (app.answer.clone(), app.asked.clone(), Arc::clone(&app.sent));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.subscribe(), asked.clone(), Arc::clone(&sent)));
            }
        });
        app
    }

    pub(crate) fn answers(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.borrow().clone()
    }

    /// Waits until it was asked so often.
    pub(crate) async fn until_asked(&self, times: usize) -> Vec<Request> {
        self.asked.subscribe().wait_for(|asked| asked.len() >= times).await.unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    mut answers: watch::Receiver<Answer>,
    asked: watch::Sender<Vec<Request>>,
    sent: Arc<Mutex<u64>>,
) {
    let Some(request) = read(&mut stream).await else { return };
    asked.send_modify(|asked| asked.push(request));
    let answer = answers.wait_for(|answer| !matches!(answer, Answer::Hang)).await.unwrap().clone();
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\nconnection: close\r\n{more}\r\n\r\n");
    let text = match &answer {
        Answer::Json(body) => {
            head("200 OK", &format!("content-type: application/json\r\ncontent-length: {}", body.len())) + body
        }
        Answer::Status(status) => head(&format!("{status} No"), "content-length: 0"),
        Answer::Redirect(to) => head("302 Found", &format!("location: {to}\r\ncontent-length: 0")),
        Answer::Hang => unreachable!("waited for another"),
        Answer::Endless => head("200 OK", "content-type: application/json\r\ncontent-length: 1073741824"),
    };
    drop(stream.write_all(text.as_bytes()).await);
    if matches!(answer, Answer::Endless) {
        let part = [b' '; 64 * 1024];
        for _ in 0..(1 << 30) / part.len() {
            if stream.write_all(&part).await.is_err() {
                return;
            }
            *sent.lock().unwrap() += part.len() as u64;
        }
    }
}

/// One request, by its `content-length`.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(Request { head, body: body.to_owned() });
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&part[..count]),
            _ => return None,
        }
    }
}
