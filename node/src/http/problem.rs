//! The one shape of every refusal over HTTP.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chasqui_wire::ErrorCode;
use chasqui_wire::http::{ErrorBody, Problem as ProblemBody};

use crate::admission::Wait;
use crate::relay::Refusal;
use crate::serve::CallError;

/// A refusal: a code for programs, a detail for developers.
#[derive(Debug)]
pub(crate) struct Problem {
    code: ErrorCode,
    detail: String,
    retry_after_ms: u32,
}

impl Problem {
    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let retry_after_ms = if code.is_retryable() { 1_000 } else { 0 };
        Self { code, detail: detail.into(), retry_after_ms }
    }

    /// A retry may help after this wait.
    pub(super) fn after(mut self, wait: Wait) -> Self {
        self.retry_after_ms = wait.millis();
        self
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, detail)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = Self::new(refusal.code, refusal.detail);
        if refusal.retry_after_ms > 0 { problem.after(Wait(refusal.retry_after_ms.into())) } else { problem }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Stopped => Self::new(ErrorCode::Internal, "the node stops"),
            // Logged where it failed; the text may name files.
            CallError::Relay(error) => Self::new(error.code(), "the node failed; nothing was done"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = status(self.code);
        let Self { code, detail, retry_after_ms } = self;
        let body = Json(ErrorBody { error: ProblemBody { code, detail, retry_after_ms } });
        let mut response = (status, body).into_response();
        if retry_after_ms > 0 {
            // For proxies and tools; programs read the body. Seconds, rounded up.
            response.headers_mut().insert(header::RETRY_AFTER, retry_after_ms.div_ceil(1_000).into());
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// As docs/protocol.md lists them; those that only a socket can give are invalid here.
pub(super) fn status(code: ErrorCode) -> StatusCode {
    use ErrorCode as E;
    match code {
        E::Unauthorised | E::DeviceRevoked | E::InvalidToken => StatusCode::UNAUTHORIZED,
        E::Forbidden | E::InvalidCode | E::WaitingPeriod | E::PinNeeded | E::WrongPin | E::ProofNeeded => {
            StatusCode::FORBIDDEN
        }
        E::AccountDeleted => StatusCode::GONE,
        E::NotFound | E::UnknownUser => StatusCode::NOT_FOUND,
        E::NameTaken | E::TooManyDevices => StatusCode::CONFLICT,
        E::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        E::RateLimited | E::AttemptsExhausted => StatusCode::TOO_MANY_REQUESTS,
        E::StorageFull | E::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        E::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        // `ErrorCode` is non-exhaustive: it may grow in another crate.
        _ => StatusCode::BAD_REQUEST,
    }
}
