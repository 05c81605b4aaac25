//! The HTTP API: one resource a file. Rules: docs/protocol.md.
//!
//! Handlers check what a request proves; what may stand beside what is decided in [`crate::relay`].

mod account;
mod bearer;
mod body;
mod client;
mod connect;
mod devices;
mod gate;
mod identity;
mod jwt;
mod login;
mod mailbox;
mod origins;
mod password;
mod phone;
mod pin;
mod problem;
mod realm;
mod register;
mod resources;
mod tokens;
mod users;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chasqui_wire::ErrorCode;

use crate::metrics::{self, Monitor};
use crate::serve::App;
pub(crate) use client::ClientAddress;
pub(crate) use gate::{Gate, REMEMBERED};
pub(crate) use origins::Origins;
use problem::Problem;
pub(crate) use resources::Resources;

/// Bytes of one request body: the largest is a registration with a password of 1,024 bytes.
const BODY_BYTES: usize = 16 * 1024;

/// For a request's body and its answer.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

pub(crate) fn router(app: App, monitor: Monitor) -> Router {
    let metrics = Arc::clone(&monitor.metrics);
    let origins = app.origins.clone();
    let nothing = || async { Problem::new(ErrorCode::NotFound, "no such resource or method") };
    resources()
        .router()
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(axum::middleware::from_fn(in_time))
        .layer(axum::middleware::from_fn_with_state(origins, origins::check))
        .with_state(app)
        .merge(metrics::health(monitor))
        .layer(axum::middleware::from_fn_with_state(metrics, metrics::observe))
}

/// As docs/openapi.json describes them.
fn resources() -> Resources<App> {
    Resources::new()
        .on(Method::GET, "/v1/realm", realm::realm)
        .on(Method::POST, "/v1/register", register::register)
        .on(Method::POST, "/v1/login", login::login)
        .on(Method::POST, "/v1/enrol/jwt", jwt::enrol)
        .on(Method::POST, "/v1/phone/codes", phone::code)
        .on(Method::POST, "/v1/phone/enrol", phone::enrol)
        .on(Method::DELETE, "/v1/account", account::delete)
        .on(Method::GET, "/v1/account/export", account::export)
        .on(Method::PUT, "/v1/account/identity", identity::reset)
        .on(Method::PUT, "/v1/pin", pin::set)
        .on(Method::DELETE, "/v1/pin", pin::remove)
        .on(Method::GET, "/v1/challenge", tokens::challenge)
        .on(Method::POST, "/v1/tokens", tokens::token)
        .on(Method::GET, "/v1/users", users::by_name)
        .on(Method::GET, "/v1/users/{id}", users::by_id)
        .on(Method::GET, "/v1/devices", devices::list)
        .on(Method::DELETE, "/v1/devices/{id}", devices::revoke)
        .on(Method::GET, "/v1/mailbox", mailbox::peek)
        .on(Method::GET, "/v1/connect", connect::connect)
}

/// A request that trickles in holds its connection no longer than any other.
async fn in_time(request: Request, next: Next) -> Response {
    let late = |_| Problem::new(ErrorCode::Internal, "the request took too long").into_response();
    tokio::time::timeout(REQUEST_WITHIN, next.run(request)).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chasqui_wire::ErrorCode;
    use serde_json::Value;

    #[test]
    fn every_resource_is_described_and_every_description_has_its_resource() {
        let page: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in page["paths"].as_object().unwrap() {
            described
                .extend(item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
        }
        let routed = super::resources().list().into_iter().chain(crate::metrics::health_resources().list());
        let routed: BTreeSet<String> = routed.map(|(method, path)| format!("{method} {path}")).collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn every_code_is_described_with_the_status_that_it_has() {
        let page: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
        let names = |codes: &Value| -> Vec<String> {
            codes.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        let all = names(&page["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"]);
        let known: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(all, known);
        // Every operation that refers to a response does so under the one status that its codes have.
        for operation in page["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
        {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let Some(refers) = response["$ref"].as_str() else { continue };
                let response = page.pointer(&refers[1..]).unwrap();
                let schema = &response["content"]["application/json"]["schema"]["allOf"][1];
                for name in names(&schema["properties"]["error"]["properties"]["code"]["enum"]) {
                    let real = super::problem::status(ErrorCode::from_name(&name));
                    assert_eq!(status, real.as_str(), "{name}");
                }
            }
        }
    }
}
