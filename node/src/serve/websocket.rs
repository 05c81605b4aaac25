//! A WebSocket over a [`Transport`], polled: the library's protocol, with buffers that an idle socket does not keep.
//!
//! What is to be sent gathers in one buffer and leaves with one write; the buffer is given back when it is empty.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tungstenite::error::CapacityError;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::transport::Transport;

/// Bytes that an idle socket has ready for what comes; a larger frame gets room of its own.
const READ_BUFFER: usize = 1024;
/// Bytes of a write buffer that is kept for the next time.
const KEPT: usize = 1024;

/// Bytes of the largest frame header that a server writes.
const HEADER: usize = 10;

pub(super) struct WebSocket {
    transport: Transport,
    protocol: WebSocketContext,
    out: Vec<u8>,
    /// Of `out`, how much was written.
    written: usize,
    is_flushed: bool,
}

/// What came in.
#[derive(Debug)]
pub(super) enum Incoming {
    Frame(Bytes),
    /// Something that is no frame of ours.
    Text,
    TooLarge,
    /// The peer closed or is gone.
    Gone,
}

impl WebSocket {
    /// After the handshake; `already_read` are bytes that came with it.
    pub(super) fn new(transport: Transport, already_read: Vec<u8>, message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes))
            .max_frame_size(Some(message_bytes));
        let protocol = WebSocketContext::from_partially_read(already_read, Role::Server, Some(config));
        Self { transport, protocol, out: Vec::new(), written: 0, is_flushed: true }
    }

    /// Puts one binary message behind what is to be sent.
    pub(super) fn put(&mut self, frame: &[u8]) {
        let header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
        self.out.reserve(HEADER + frame.len());
        header.format(frame.len() as u64, &mut self.out).expect("a vector takes everything");
        self.out.extend_from_slice(frame);
        self.is_flushed = false;
    }

    /// Puts a close behind what is to be sent.
    pub(super) fn put_close(&mut self) {
        let Self { protocol, out, .. } = self;
        // Already closed is closed.
        drop(protocol.close(&mut Both { transport: None, out }, None));
        self.is_flushed = false;
    }

    /// Bytes that wait to be written.
    pub(super) fn unwritten(&self) -> usize {
        self.out.len() - self.written
    }

    /// Ready when everything is written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            let wrote = Pin::new(&mut self.transport).poll_write(cx, &self.out[self.written..]);
            match std::task::ready!(wrote)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.written = 0;
        self.out.clear();
        if self.out.capacity() > KEPT {
            self.out = Vec::new();
        }
        if !self.is_flushed {
            std::task::ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// The next message. Answers to pings and closes are put behind what is to be sent.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        let Self { transport, protocol, out, .. } = self;
        let before = out.len();
        let read = loop {
            match protocol.read(&mut Both { transport: Some((&mut *transport, &mut *cx)), out: &mut *out }) {
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Binary(bytes)) => break Poll::Ready(Incoming::Frame(bytes)),
                Ok(Message::Text(_)) => break Poll::Ready(Incoming::Text),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break Poll::Pending,
                Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => break Poll::Ready(Incoming::TooLarge),
                Ok(Message::Close(_)) | Err(_) => break Poll::Ready(Incoming::Gone),
            }
        };
        self.is_flushed &= self.out.len() == before;
        read
    }
}

/// The library reads from the transport, but what it writes only joins what is to be sent, so that its frames never
/// come into the middle of ours.
struct Both<'a, 'b> {
    transport: Option<(&'a mut Transport, &'a mut Context<'b>)>,
    out: &'a mut Vec<u8>,
}

impl Read for Both<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some((transport, cx)) = &mut self.transport else { return Err(io::ErrorKind::WouldBlock.into()) };
        let mut buffer = ReadBuf::new(into);
        match Pin::new(&mut **transport).poll_read(cx, &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Both<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
