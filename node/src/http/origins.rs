//! Which web pages may use the node: browsers say where a page comes from, and keep answers from it that name another place
//! (CORS, <https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Nothing here proves anything: programs other than browsers say what they like. Tokens and signatures decide; nothing that a
//! browser adds by itself, like a cookie, counts.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN, UPGRADE, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chasqui_wire::ErrorCode;

use super::problem::Problem;

/// For how long a browser need not ask again, in seconds: as much as any of them heeds.
const REMEMBERED_SECONDS: &str = "7200";

/// The pages that may use the node, beside its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(Arc<[String]>);

impl Origins {
    pub(crate) fn new(allowed: &[String]) -> Self {
        Self(allowed.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect())
    }

    /// Whether a page from there may use the node; `own` is the host that it asked.
    fn allow(&self, origin: &HeaderValue, own: Option<&HeaderValue>) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let origin = origin.to_ascii_lowercase();
        let host = origin.split_once("://").map(|(_, host)| host);
        let is_own =
            host.is_some() && host == own.and_then(|own| own.to_str().ok()).map(str::to_ascii_lowercase).as_deref();
        is_own || self.0.iter().any(|allowed| allowed == "*" || *allowed == origin)
    }
}

/// Answers a browser that asks whether it may, turns away sockets of pages that may not, and names the page in other answers.
pub(super) async fn check(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let Some(origin) = headers.get(ORIGIN).cloned() else { return next.run(request).await };
    let may = origins.allow(&origin, headers.get(HOST));
    let asks = request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    // Browsers let every page open sockets, and leave it to whoever is asked.
    let is_kept_out = !may && (asks || headers.contains_key(UPGRADE));
    let mut response = if is_kept_out {
        Problem::new(ErrorCode::Forbidden, "pages of this origin may not use the node: see allowed_origins")
            .into_response()
    } else if asks {
        let mut response = StatusCode::NO_CONTENT.into_response();
        describe(response.headers_mut());
        response
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    if may {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

fn describe(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, DELETE"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED_SECONDS));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(allowed: &[&str], origin: &str, may: bool) {
        let allowed: Vec<String> = allowed.iter().map(|&origin| origin.to_owned()).collect();
        let (origin, own) = (HeaderValue::from_str(origin).unwrap(), HeaderValue::from_static("Node.example.org:7400"));
        assert_eq!(Origins::new(&allowed).allow(&origin, Some(&own)), may, "{allowed:?} {origin:?}");
    }

    #[test]
    fn pages_of_the_node_and_of_those_who_are_named_may_use_it() {
        check(&[], "https://node.example.org:7400", true);
        check(&[], "https://node.example.org", false);
        check(&[], "https://app.example.org", false);
        check(&[], "null", false);
        check(&["https://app.example.org/"], "https://App.example.org", true);
        check(&["https://app.example.org"], "http://app.example.org", false);
        check(&["https://app.example.org"], "https://app.example.org.evil.example", false);
        check(&["*"], "http://localhost:5173", true);
        check(&["*"], "null", true);
    }
}
