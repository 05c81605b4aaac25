//! HTTP by `fetch`; TLS is the browser's.

use std::time::Duration;

use tokio::sync::oneshot;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortSignal, Headers, RequestInit, RequestRedirect, Response};

use super::timer::worker;
use crate::Error;
use crate::driver::api::{ANSWER_BYTES, ANSWER_WITHIN_MS, Answer, Request};

#[derive(Debug)]
pub(in crate::driver) struct Http;

impl Http {
    pub(in crate::driver) fn is_url(text: &str) -> bool {
        web_sys::Url::new(text).is_ok()
    }

    #[expect(clippy::unnecessary_wraps, reason = "elsewhere certificates have to be read")]
    pub(in crate::driver) fn new(_is_secure: bool) -> Result<Self, Error> {
        Ok(Self)
    }

    pub(in crate::driver) async fn send(&self, request: Request) -> Result<Answer, Error> {
        let (reply, answer) = oneshot::channel();
        spawn_local(async move {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(fetch(request).await.map_err(|error| unreachable(&error)));
        });
        let answer = answer.await.map_err(|_| Error::Closed)??;
        if answer.body.len() > ANSWER_BYTES {
            return Err(Error::Incompatible { detail: "the node's answer is too long".into() });
        }
        Ok(answer)
    }
}

async fn fetch(request: Request) -> Result<Answer, JsValue> {
    let init = RequestInit::new();
    init.set_method(request.method.name());
    init.set_redirect(RequestRedirect::Error);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(ANSWER_WITHIN_MS)));
    let headers = Headers::new()?;
    if let Some(token) = request.bearer {
        headers.set("authorization", &format!("Bearer {token}"))?;
    }
    if let Some(body) = request.body {
        headers.set("content-type", "application/json")?;
        init.set_body(&js_sys::Uint8Array::from(body.as_slice()));
    }
    init.set_headers(&headers);
    let response: Response = JsFuture::from(worker().fetch_with_str_and_init(&request.url, &init)).await?.dyn_into()?;
    let body = JsFuture::from(response.array_buffer()?).await?;
    Ok(Answer { status: response.status(), body: js_sys::Uint8Array::new(&body).to_vec() })
}

/// Browsers do not say why.
fn unreachable(error: &JsValue) -> Error {
    let said = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    let detail =
        said.unwrap_or_else(|| format!("no answer within {:?}", Duration::from_millis(ANSWER_WITHIN_MS.into())));
    Error::Offline { detail }
}
